/**
 * A valibot message is one string; ours carry a stable code, a sentence and a hint in it. Code and
 * hint are taken apart again when issues become problems.
 */
export interface IssueText {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

/** Packs a problem's words into a valibot message. */
export function say(code: string, message: string, hint?: string): string {
  return [MARK + code, message, ...(hint === undefined ? [] : [hint])].join(SEPARATOR);
}

/** What `say` packed; undefined for a message of valibot's own. */
export function said(text: string): IssueText | undefined {
  if (!text.startsWith(MARK)) return undefined;
  const [code = "", message = "", hint] = text.slice(MARK.length).split(SEPARATOR);
  return { code, message, ...(hint === undefined ? {} : { hint }) };
}

/** The message for what the design has and this release leaves out. */
export function notSupported(what: string, hint?: string): string {
  return say("NOT_SUPPORTED", `${what} is not supported yet`, hint ?? "Leave it out.");
}

const MARK = "\u0001";
const SEPARATOR = "\u0002";
