/** A document's text as it was before the OpenSearch sink put its mark first; see design 4.2. */
export function withoutMark(text: string): string {
  return text.replace(/^\{"_sync":\{[^{}]*\}(?:,|(?=\s*\}))/, "{");
}
