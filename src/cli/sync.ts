import type { ArgsDef } from "citty";
import { type Command, textFlag } from "./command.ts";
import { durationFlag } from "./duration.ts";
import { follow, FOLLOW_ARGS } from "./follow.ts";

const ARGS: ArgsDef = {
  ...FOLLOW_ARGS,
  wait: {
    type: "string",
    description: "How long a server that is away is tried",
    valueHint: "DURATION",
    default: "30s",
  },
};

/** The cron form. */
export const sync: Command = {
  definition: {
    meta: {
      name: "sync",
      description: "Seed what is unseeded, catch up to the moment it started, and exit (for cron)",
    },
    args: ARGS,
  },
  args: ARGS,
  examples: ["driftless sync", "*/5 * * * * driftless sync --config /etc/driftless/shop.jsonc"],
  run: (flags, context) =>
    follow(flags, context, {
      once: true,
      retryLimitMs: durationFlag("wait", textFlag(flags, "wait") ?? "30s"),
    }),
};
