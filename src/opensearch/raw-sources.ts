/**
 * The text of each hit's `_source` in a search answer, in order, exactly as it was written:
 * parsing it would round large numbers, drop trailing zeros and reorder keys. The text must be
 * valid JSON, which whoever parsed the rest of the answer has seen.
 */
export function rawSources(answer: string): readonly (string | undefined)[] {
  const hits = member(answer, member(answer, { start: 0, end: answer.length }, "hits"), "hits");
  return hits === undefined ? [] : children(answer, hits).map((hit) => {
    const source = member(answer, hit, "_source");
    return source === undefined ? undefined : answer.slice(source.start, source.end);
  });
}

/** Where a value stands in the text. */
interface Span {
  readonly start: number;
  readonly end: number;
}

function member(text: string, object: Span | undefined, name: string): Span | undefined {
  if (object === undefined) return undefined;
  const parts = children(text, object);
  for (let i = 0; i + 1 < parts.length; i += 2) {
    const key = parts[i];
    if (key !== undefined && text.slice(key.start, key.end) === `"${name}"`) return parts[i + 1];
  }
  return undefined;
}

/** The values of an array, or keys and values in turn of an object. */
function children(text: string, { start, end }: Span): Span[] {
  const spans: Span[] = [];
  let at = nextValue(text, start + 1);
  while (at < end - 1) {
    const after = endOfValue(text, at);
    spans.push({ start: at, end: after });
    at = nextValue(text, after);
  }
  return spans;
}

/** The first position from `at` on that is neither white space nor a separator. */
function nextValue(text: string, at: number): number {
  while (at < text.length && " \t\r\n,:".includes(text.charAt(at))) at++;
  return at;
}

/** The position after the JSON value that begins at `at`. */
export function endOfValue(text: string, at: number): number {
  const first = text.charAt(at);
  if (first === '"') return skipString(text, at);
  if (first !== "{" && first !== "[") {
    SCALAR.lastIndex = at;
    return at + Math.max(1, SCALAR.exec(text)?.[0].length ?? 1);
  }
  for (let depth = 0, i = at; i < text.length; i++) {
    const char = text.charAt(i);
    if (char === '"') i = skipString(text, i) - 1;
    else if (char === "{" || char === "[") depth++;
    else if ((char === "}" || char === "]") && --depth === 0) return i + 1;
  }
  return text.length;
}

function skipString(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const char = text.charAt(i);
    if (char === "\\") i++;
    else if (char === '"') return i + 1;
  }
  return text.length;
}

const SCALAR = /[^\s,:\]}]+/y;
