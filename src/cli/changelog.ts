import type { ArgsDef } from "citty";
import {
  type ChangelogOutcome,
  type ChangelogReport,
  changelogReport,
  type ChangelogTarget,
  forgetConsumer,
  installChangelog,
  removeChangelog,
} from "../app/changelog.ts";
import { FatalError } from "../core/errors.ts";
import { visible } from "../observe/visible.ts";
import { checkedAdminUrl } from "./admin_url.ts";
import { booleanFlag, type Command, type Context, EXIT, textFlag } from "./command.ts";
import { COMMON_ARGS, loadSettings } from "./settings.ts";

const ARGS: ArgsDef = {
  action: {
    type: "positional",
    description: "install, remove, status, or forget",
    required: true,
  },
  name: { type: "positional", description: "forget: the consumer", required: false },
  ...COMMON_ARGS,
  apply: { type: "boolean", description: "Run the SQL instead of printing it" },
  "admin-url": {
    type: "string",
    description: "Who runs it: the tables' owner (default: source.url)",
    valueHint: "URL",
  },
  reader: {
    type: "string",
    description: "install: roles that will read it, by commas (default: the role of source.url)",
    valueHint: "ROLE",
  },
};

/** Installs, looks at and removes the log that triggers write (design 3.4). */
export const changelog: Command = {
  definition: {
    meta: {
      name: "changelog",
      description: "Install, look at or remove the log that triggers write, by SQL to read first",
    },
    args: ARGS,
  },
  args: ARGS,
  examples: [
    "driftless changelog install | psql -X -v ON_ERROR_STOP=1 -f - $OWNER_URL",
    "driftless changelog install --apply --admin-url $OWNER_URL --reader search",
    "driftless changelog status",
    "driftless changelog forget old-shop --apply",
    "driftless changelog remove --apply",
  ],
  async run(flags, context) {
    const action = textFlag(flags, "action") ?? "";
    if (!ACTIONS.includes(action)) {
      throw usage(
        `Cannot do "${visible(action)}" with the changelog`,
        `Use one of ${ACTIONS.join(", ")}.`,
      );
    }
    const name = textFlag(flags, "name");
    if (name !== undefined && action !== "forget") {
      throw usage(`Cannot use "${visible(name)}": ${action} takes no name`, "Leave it out.");
    }
    const { config } = await loadSettings(flags, context);
    const adminUrl = textFlag(flags, "admin-url");
    const target: ChangelogTarget = {
      schema: config.source.changelog?.schema ?? "driftless",
      ...(adminUrl === undefined ? {} : { adminUrl: checkedAdminUrl(adminUrl) }),
      apply: booleanFlag(flags, "apply"),
      say: (line) => context.stderr(`${visible(line)}\n`),
    };
    // Each table's transaction stands for itself: the first signal ends it.
    const signal = AbortSignal.any([context.stop, context.signal]);
    switch (action) {
      case "install": {
        const readers = (textFlag(flags, "reader") ?? "").split(",").map((role) => role.trim())
          .filter((role) => role !== "");
        const outcome = await installChangelog(config, target, readers, signal);
        return await finish(outcome, "installed for", context, signal);
      }
      case "remove":
        return await finish(
          await removeChangelog(config, target, signal),
          "removed from",
          context,
          signal,
        );
      case "forget":
        return await forget(name, target, config, context, signal);
      default: {
        const report = await changelogReport(config, target, signal);
        await context.stdout.write(textOf(report), signal);
        return report.tables.every(({ trouble }) => trouble === undefined)
          ? EXIT.done
          : EXIT.failed;
      }
    }
  },
};

async function finish(
  { sql, tables, left }: ChangelogOutcome,
  what: string,
  context: Context,
  signal: AbortSignal,
): Promise<number> {
  if (sql !== "") {
    await context.stdout.write(sql, signal);
    return EXIT.done;
  }
  const done = tables.filter((table) => !left.has(table));
  context.stderr(`${what} ${visible(done.join(", ") || "no table")}\n`);
  for (const [table, why] of left) context.stderr(`not ${what} ${visible(`${table}: ${why}`)}\n`);
  return left.size === 0 ? EXIT.done : EXIT.failed;
}

async function forget(
  name: string | undefined,
  target: ChangelogTarget,
  config: Parameters<typeof forgetConsumer>[0],
  context: Context,
  signal: AbortSignal,
): Promise<number> {
  if (name === undefined) {
    throw usage("Cannot forget: no consumer is named", "`driftless changelog status` lists them.");
  }
  const { sql, found } = await forgetConsumer(config, target, name, signal);
  if (sql !== "") await context.stdout.write(sql, signal);
  if (found === undefined) return EXIT.done;
  context.stderr(
    found
      ? `forgot ${visible(name)}: nothing is kept for it any more\n`
      : `Cannot forget ${visible(name)}: there is no such consumer\n`,
  );
  return found ? EXIT.done : EXIT.failed;
}

function textOf({ tables, consumers, bytes, canAcknowledge }: ChangelogReport): string {
  const troubled = tables.some(({ trouble }) => trouble !== undefined);
  const lines = [
    "tables",
    ...tables.map(({ id, state, trouble }) =>
      trouble === undefined
        ? `  ${id}: logged; looks at ${
          state?.columns?.length === 0
            ? "its key alone"
            : state?.columns?.map((name) => `"${name}"`).join(", ") ?? "every column"
        }`
        : `  ${id}: NOT RELIED ON: ${trouble}`
    ),
    ...(troubled ? ["  `driftless changelog install` prints the SQL that mends it."] : []),
    "",
    `log: ${(bytes / 1_048_576).toFixed(1)} MiB`,
    "",
    "consumers",
    ...(consumers.length === 0 ? ["  none yet"] : []),
    ...consumers.flatMap(({ name, seenAt, unseen, waiting, counted, age }) => [
      `  ${name}: seen ${age} ago (${seenAt}), ${waiting}${counted ? "" : " or more"} rows to go`,
      ...(unseen
        ? [
          `    ALARM: unseen for more than a day, and all it hasn't passed is kept for it.`,
          `    If it won't come back: driftless changelog forget ${name} --apply`,
        ]
        : []),
    ]),
    ...(canAcknowledge
      ? []
      : ["", "The role of source.url can't acknowledge: run install with --reader, as the owner."]),
  ];
  return `${lines.map(visible).join("\n")}\n`;
}

function usage(message: string, hint: string): FatalError {
  return new FatalError("USAGE", message, hint);
}

const ACTIONS: readonly string[] = ["install", "remove", "status", "forget"];
