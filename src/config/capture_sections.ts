import * as v from "valibot";
import { tableId, type TableRef } from "../core/table.ts";
import { say } from "./issue_text.ts";
import { keysOf } from "./json_value.ts";
import { column, NOT_A_TABLE, parseTable, table } from "./names.ts";
import { duration, durationOrOff, text, word } from "./units.ts";

/** `source.sweeps`. Times in ms; 0 is off. */
export interface SweepsSection {
  readonly keys: number;
  readonly rows: number;
  readonly dutyCycle: number;
  readonly massDeletes: boolean;
}

/** `source.changelog`. Times in ms. */
export interface ChangelogSection {
  readonly schema: string;
  readonly consumer: string;
  readonly retention: number;
}

/** `source.outbox`. */
export interface OutboxSection {
  readonly table: TableRef;
  /** By `tableId`: what the outbox calls it. */
  readonly tables: ReadonlyMap<string, readonly string[]>;
  readonly mode: "read" | "claim";
  readonly delete: boolean;
  readonly columns: {
    readonly table: string;
    readonly key: string;
    readonly position: string;
    readonly xid?: string;
    readonly stamp?: string;
    readonly processed?: string;
  };
}

const off = v.union([v.literal(false), v.literal(0)]);

/** An editor shows both; a value is one or the other, and its problems are told of that alone. */
function isOff(input: unknown): boolean {
  return input === undefined || input === false || input === 0;
}

const SHARE = say(
  "INVALID_VALUE",
  "Expected a share of the time: over 0, at most 1",
  "0.1 lets a sweep read for a tenth of the time.",
);
const sweepsOn = v.strictObject({
  keys: v.optional(
    v.pipe(
      durationOrOff,
      v.description("How often the keys of each index are compared, which finds deleted rows."),
    ),
    "15m",
  ),
  rows: v.optional(
    v.pipe(
      durationOrOff,
      v.description("How often rows are looked for whose stamp wasn't set, or is odd."),
    ),
    "1h",
  ),
  dutyCycle: v.optional(
    v.pipe(
      v.number(SHARE),
      v.check((share) => share > 0 && share <= 1, SHARE),
      v.description("Share of the time that a sweep may read, over 0 to 1."),
    ),
    0.1,
  ),
  massDeletes: v.optional(
    v.pipe(
      v.boolean(),
      v.description("Go on when a key sweep would delete more than 1 % of an index (over 1,000)."),
    ),
    false,
  ),
});
/** What `sweeps` is for an editor. */
export const SWEEPS: v.GenericSchema<unknown, SweepsSection> = v.union([
  sweepsOn,
  v.pipe(
    off,
    v.transform((): SweepsSection => ({ keys: 0, rows: 0, dutyCycle: 0.1, massDeletes: false })),
  ),
]) as v.GenericSchema<unknown, SweepsSection>;

/** `{"keys", "rows", "dutyCycle", "massDeletes"}`, or `false` for none. */
export const sweeps: v.GenericSchema<unknown, SweepsSection> = v.lazy((input) =>
  isOff(input) ? SWEEPS : sweepsOn
);

const changelogOn = v.strictObject({
  schema: v.optional(
    v.pipe(text("a schema name"), v.description("Where `driftless changelog install` put it.")),
    "driftless",
  ),
  consumer: v.optional(
    v.pipe(
      text("a name"),
      v.description("Whose position it is: one for each config that reads the same changelog."),
    ),
    "default",
  ),
  retention: v.optional(
    v.pipe(
      duration,
      v.description(
        "Changes are kept this long after everybody has read them. Below some minutes a restart, which " +
          "reads the last seconds again, may find them gone and fill indexes anew.",
      ),
    ),
    "1d",
  ),
});
/** What `changelog` is for an editor. */
export const CHANGELOG: v.GenericSchema<unknown, ChangelogSection | undefined> = v.union([
  changelogOn,
  v.pipe(off, v.transform((): undefined => undefined)),
]);
/** `{"schema", "consumer", "retention"}`, or `false`: not used, installed or not. */
export const changelog: v.GenericSchema<unknown, ChangelogSection | undefined> = v.lazy((input) =>
  isOff(input) ? CHANGELOG : changelogOn
);

const NAMES = say(
  "INVALID_VALUE",
  "Expected what the outbox calls this table",
  'A name or a list of them: "orders": "Order", or "orders": ["Order", "OrderLine"].',
);
const names = v.pipe(
  v.union([v.string(NAMES), v.array(v.string(NAMES))], NAMES),
  v.transform((given): readonly string[] => typeof given === "string" ? [given] : given),
  v.check((list) => list.length > 0 && list.every((name) => name !== ""), NAMES),
);
const covered = v.pipe(
  v.record(
    v.pipe(v.string(), v.check((name) => parseTable(name) !== undefined, NOT_A_TABLE)),
    names,
  ),
  v.minEntries(
    1,
    say(
      "INVALID_VALUE",
      "The outbox covers no table",
      'Say which, and what it calls them: "tables": { "orders": "orders" }.',
    ),
  ),
  v.rawCheck(({ dataset, addIssue }) => {
    const ids = new Set<string>();
    for (const key of Object.keys(keysOf(dataset.value))) {
      const ref = parseTable(key);
      if (ref === undefined) continue;
      const id = tableId(ref);
      if (ids.has(id)) {
        const message = `Two keys name the table ${id}`;
        addIssue({ message: say("DUPLICATE_KEY", message, "Keep one, with all its names.") });
      }
      ids.add(id);
    }
  }),
  v.transform((named): ReadonlyMap<string, readonly string[]> =>
    new Map(
      Object.entries(named).map(([key, list]) => [
        tableId(parseTable(key) ?? { schema: "public", name: key }),
        list,
      ]),
    )
  ),
);

const outboxColumns = v.strictObject({
  table: v.pipe(column, v.description("Holds the table's name, as `tables` gives it.")),
  key: v.pipe(
    column,
    v.description("Holds the row's primary key; of several columns as JSON or as an array."),
  ),
  position: v.pipe(column, v.description("A unique, growing number: the outbox's own id.")),
  xid: v.exactOptional(
    v.pipe(column, v.description("Of type xid8, DEFAULT pg_current_xact_id().")),
  ),
  stamp: v.exactOptional(
    v.pipe(column, v.description("Of type timestamptz, DEFAULT now(); used without xid.")),
  ),
  processed: v.exactOptional(
    v.pipe(column, v.description("claim: the timestamp that is set when a row was dealt with.")),
  ),
});

const outboxOn = v.pipe(
  v.strictObject({
    table: v.pipe(table, v.description("The table that the application writes its hints to.")),
    tables: v.pipe(covered, v.description("Which tables it covers, and what it calls them.")),
    mode: v.optional(
      v.pipe(
        word(["read", "claim"]),
        v.description("read: SELECT is enough. claim: each row is marked, or deleted."),
      ),
      "read",
    ),
    delete: v.optional(
      v.pipe(v.boolean(), v.description("claim: delete rows in place of marking them.")),
      false,
    ),
    columns: outboxColumns,
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    const given = keysOf(dataset.value);
    const columns = keysOf(given["columns"]);
    const problem = modeProblem(given["mode"], given["delete"] === true, columns);
    if (problem !== undefined) addIssue({ message: say("INVALID_VALUE", ...problem) });
  }),
);
/** What `outbox` is for an editor. */
export const OUTBOX: v.GenericSchema<unknown, OutboxSection | undefined> = v.union([
  outboxOn,
  v.pipe(off, v.transform((): undefined => undefined)),
]);
/** The user's own table of hints (design 3.5), or `false`: there is none. */
export const outbox: v.GenericSchema<unknown, OutboxSection | undefined> = v.lazy((input) =>
  isOff(input) ? OUTBOX : outboxOn
);

function modeProblem(
  mode: unknown,
  deletes: boolean,
  columns: Readonly<Record<string, unknown>>,
): [message: string, hint: string] | undefined {
  if (mode === "read") {
    if (deletes) return ['"delete" belongs to the mode "claim"', 'Write "mode": "claim".'];
    if ("processed" in columns) {
      return ['"processed" belongs to the mode "claim"', 'Write "mode": "claim", or remove it.'];
    }
    if ("xid" in columns || "stamp" in columns) return undefined;
    return [
      'The mode "read" needs "xid" or "stamp" among the columns',
      'ALTER TABLE … ADD COLUMN tx xid8 DEFAULT pg_current_xact_id(), and "xid": "tx".',
    ];
  }
  if (mode !== "claim" || deletes !== "processed" in columns) return undefined;
  return deletes
    ? ['Both "delete" and the column "processed" are given', "Keep one."]
    : ['The mode "claim" needs the column "processed", or "delete": true', "Give one."];
}
