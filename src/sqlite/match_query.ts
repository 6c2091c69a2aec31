/**
 * What a person typed as an FTS5 expression: all words must occur, in any order; a word that ends in
 * `*` matches by its beginning. Each is quoted, so nothing is read as syntax. Undefined when there
 * is no word to search for.
 */
export function matchQuery(typed: string): string | undefined {
  const words = typed.split(/\s+/u).filter((word) => TOKEN.test(word));
  if (words.length === 0) return undefined;
  return words.map(quoted).join(" AND ");
}

/** What FTS5's tokenizer takes for part of a word; a phrase without any matches nothing. */
const TOKEN = /[\p{L}\p{N}\p{Co}]/u;

function quoted(word: string): string {
  const prefix = word.endsWith("*") ? "*" : "";
  return `"${word.replaceAll("\0", "").replaceAll('"', '""')}"${prefix}`;
}
