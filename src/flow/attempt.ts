import { FatalError, messageOf, RetryableError } from "../core/errors.ts";
import type { Problem } from "../core/problem.ts";

/** Runs it; an edge's error is a problem of its own. Throws the signal's reason, and defects. */
export async function attempt<T>(
  path: string,
  problems: Problem[],
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof FatalError || error instanceof RetryableError)) throw error;
    const { code, hint } = error instanceof FatalError ? error : {
      code: "UNREACHABLE",
      hint: "Check that the server runs and that its address is right.",
    };
    problems.push({ severity: "error", code, path, message: messageOf(error), hint });
    return undefined;
  }
}
