/**
 * A text as one line for a terminal. Names and messages come from files, databases and servers: no
 * control character of theirs (of C0, C1, or a line break) reaches it; each becomes a space.
 */
export function visible(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, " ");
}
