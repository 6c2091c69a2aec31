import type { ArgsDef } from "citty";
import { follow as followIndexes } from "../app.ts";
import type { SyncEvent } from "../core/events.ts";
import { booleanFlag, type Context, EXIT, type Flags } from "./command.ts";
import { COMMON_ARGS, loadSettings, openLog } from "./settings.ts";

/** The flags that `run` and `sync` share. */
export const FOLLOW_ARGS: ArgsDef = {
  ...COMMON_ARGS,
  strict: {
    type: "boolean",
    description: "End when one index can't be served, instead of leaving it out",
  },
  "skip-backfill": { type: "boolean", description: "Follow only: seed nothing" },
  rebase: {
    type: "boolean",
    description: "Take the database for a new one: anchor anew and seed every index again",
  },
};

/** What `run` and `sync` do; `once` ends when caught up. */
export async function follow(
  flags: Flags,
  context: Context,
  how: { readonly once: boolean; readonly retryLimitMs: number },
): Promise<number> {
  const settings = await loadSettings(flags, context);
  const { config } = settings;
  const log = openLog(settings, flags, context);
  let caughtUp = false;
  let leftOut = false;
  const surroundings = {
    stdout: context.stdout,
    strict: booleanFlag(flags, "strict"),
    observe: (event: SyncEvent) => {
      if (event.type === "caughtUp") caughtUp = true;
      if (event.type === "warning" && event.code === "INDEX_LEFT_OUT") leftOut = true;
      log.observe(event);
    },
  };
  const sayDraining = () => log.observe({ type: "draining" });
  context.stop.addEventListener("abort", sayDraining, { once: true });
  try {
    await followIndexes(
      config,
      surroundings,
      {
        ...how,
        skipBackfill: booleanFlag(flags, "skip-backfill"),
        rebase: booleanFlag(flags, "rebase"),
      },
      context.stop,
      context.signal,
    );
  } finally {
    context.stop.removeEventListener("abort", sayDraining);
    log.close();
  }
  // What calls `sync` goes on when it says 0: everything has to be there then.
  if (!how.once || caughtUp && !leftOut) return EXIT.done;
  context.stderr(
    caughtUp
      ? "Not everything is in step: an index was left out, see above\n"
      : "Stopped before it had caught up: the next sync goes on\n",
  );
  return EXIT.failed;
}
