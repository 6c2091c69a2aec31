/** A document's text as it was before the OpenSearch sink put its mark first; see design 4.2. */
export function withoutMark(text: string): string {
  return text.replace(MARK, "{");
}

/** Its object holds scalars and one array of texts, which may hold any sign. */
const MARK = /^\{"_sync":\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}(?:,|(?=\s*\}))/;
