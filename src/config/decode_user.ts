import type { Problem } from "../core/problem.ts";

/** The user and the password that a URL names, as text; undefined: a % in them encodes nothing. */
export function decodeUser(
  url: URL,
): { readonly username: string; readonly password: string } | undefined {
  try {
    return {
      username: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
    };
  } catch {
    return undefined;
  }
}

/** What is said of a URL whose user can't be decoded. */
export const BARE_PERCENT: Omit<Problem, "path"> = {
  severity: "error",
  code: "INVALID_URL",
  message: "The URL's user or password holds a bare %",
  hint: "Write % in a password as %25.",
};
