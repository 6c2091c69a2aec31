import type { ArgsDef } from "citty";
import { dropWal } from "../app/wal.ts";
import { FatalError } from "../core/errors.ts";
import { visible } from "../observe/visible.ts";
import { checkedAdminUrl } from "./admin_url.ts";
import { booleanFlag, type Command, EXIT, textFlag } from "./command.ts";
import { COMMON_ARGS, loadSettings } from "./settings.ts";

const ARGS: ArgsDef = {
  action: { type: "positional", description: "drop", required: true },
  ...COMMON_ARGS,
  apply: { type: "boolean", description: "Run the SQL instead of printing it" },
  "admin-url": {
    type: "string",
    description: "Who runs it: the publication's owner, who may replicate (default: source.url)",
    valueHint: "URL",
  },
};

/** Takes away what following the write-ahead log has left on the server (design 3.5). */
export const wal: Command = {
  definition: {
    meta: {
      name: "wal",
      description: "Drop the replication slot and the publication, by SQL to read first",
    },
    args: ARGS,
  },
  args: ARGS,
  examples: ["driftless wal drop", "driftless wal drop --apply --admin-url $OWNER_URL"],
  async run(flags, context) {
    const action = textFlag(flags, "action") ?? "";
    if (action !== "drop") {
      throw new FatalError("USAGE", `Cannot do "${visible(action)}" with the WAL`, "Use drop.");
    }
    const { config } = await loadSettings(flags, context);
    const adminUrl = textFlag(flags, "admin-url");
    const signal = AbortSignal.any([context.stop, context.signal]);
    const { sql, done, left } = await dropWal(config, {
      ...(adminUrl === undefined ? {} : { adminUrl: checkedAdminUrl(adminUrl) }),
      apply: booleanFlag(flags, "apply"),
      say: (line) => context.stderr(`${visible(line)}\n`),
    }, signal);
    for (const line of [...done, ...left]) context.stderr(`${visible(line)}\n`);
    if (sql !== "") await context.stdout.write(sql, signal);
    return left.length === 0 ? EXIT.done : EXIT.failed;
  },
};
