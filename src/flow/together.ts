/**
 * Runs tasks side by side until all have ended. The first failure aborts the others by the signal
 * they were given and is thrown when the last has ended, so that no task is left running.
 */
export async function together(
  tasks: readonly ((signal: AbortSignal) => Promise<void>)[],
  parent: AbortSignal,
): Promise<void> {
  const scope = new AbortController();
  const onAbort = () => scope.abort(parent.reason);
  if (parent.aborted) onAbort();
  parent.addEventListener("abort", onAbort, { once: true });
  let failed = false;
  let failure: unknown;
  const guarded = tasks.map(async (task) => {
    try {
      await task(scope.signal);
    } catch (error) {
      if (failed) return;
      failed = true;
      failure = error;
      scope.abort(error);
    }
  });
  await Promise.all(guarded);
  parent.removeEventListener("abort", onAbort);
  if (failed) throw failure;
}
