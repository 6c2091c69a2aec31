import type { Command } from "./command.ts";
import { follow, FOLLOW_ARGS } from "./follow.ts";

/** Seeds what is unseeded and follows changes until stopped. */
export const run: Command = {
  definition: {
    meta: {
      name: "run",
      description: "Seed what is unseeded and follow changes until stopped (SIGINT, SIGTERM)",
    },
    args: FOLLOW_ARGS,
  },
  args: FOLLOW_ARGS,
  examples: ["driftless run", "driftless run --config shop.jsonc --log-format json"],
  run: (flags, context) => follow(flags, context, { once: false, retryLimitMs: Infinity }),
};
