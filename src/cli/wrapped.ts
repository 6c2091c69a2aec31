/** Characters, not UTF-16 units: names may hold any. */
export function width(text: string): number {
  return [...text].length;
}

/** Lines of at most 100 characters; the later ones are indented by two more. */
export function wrapped(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  let empty = true;
  for (const word of text.split(" ")) {
    if (!empty && width(line) + 1 + width(word) > COLUMNS) {
      lines.push(line);
      line = `${indent}  ${word}`;
      continue;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line];
}

const COLUMNS = 98;
