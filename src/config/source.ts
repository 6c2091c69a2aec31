import * as v from "valibot";
import type { TableRef } from "../core/table.ts";
import {
  changelog,
  type ChangelogSection,
  outbox,
  type OutboxSection,
  sweeps,
  type SweepsSection,
} from "./capture_sections.ts";
import { say } from "./issue_text.ts";
import { keysOf } from "./json_value.ts";
import { column, NOT_A_TABLE, parseTable } from "./names.ts";
import { secret, type SecretRef } from "./secret_ref.ts";
import { timeZone } from "./time_zone.ts";
import { duration, durationOrOff, whole, word } from "./units.ts";
import { wal, type WalSection } from "./wal_section.ts";

export type TlsMode = "disable" | "prefer" | "require" | "verify-ca" | "verify-full";
export type Capture = "auto" | "wal" | "updated_at" | "changelog" | "outbox" | "sweep";

/** What is said of one table (`source.tables`). */
export interface TableSection {
  readonly stamp?: string;
  readonly stamps?: "database" | "application";
  readonly stampTimezone?: string;
  readonly capture?: Capture;
}

export interface TlsSection {
  readonly mode?: TlsMode;
  readonly ca?: SecretRef;
  readonly cert?: SecretRef;
  readonly key?: SecretRef;
}

/** `source`, with its secrets not resolved yet. Times in ms. */
export interface SourceSection {
  readonly url?: SecretRef;
  readonly tls?: TlsSection;
  readonly capture: Capture;
  readonly pooler: "none" | "transaction";
  readonly rowSecurity: "refuse" | "allow";
  readonly poll: {
    readonly minInterval: number;
    readonly maxInterval: number;
    readonly margin?: number;
    /** 0: no table is followed by a lag. */
    readonly lag: number;
    readonly pageSize: number;
  };
  readonly sweeps: SweepsSection;
  readonly wal: WalSection | undefined;
  readonly changelog: ChangelogSection | undefined;
  readonly outbox: OutboxSection | undefined;
  readonly tables: readonly (TableSection & { readonly table: TableRef })[];
}

const CAPTURES: readonly Capture[] = [
  "auto",
  "wal",
  "updated_at",
  "changelog",
  "outbox",
  "sweep",
];
const capture = word<Capture>(CAPTURES);

const tls = v.strictObject({
  mode: v.exactOptional(v.pipe(
    word<TlsMode>(["disable", "prefer", "require", "verify-ca", "verify-full"]),
    v.description("As libpq's sslmode; default verify-full when this section is there."),
  )),
  ca: v.exactOptional(v.pipe(secret, v.description("PEM of the server's CA."))),
  cert: v.exactOptional(v.pipe(secret, v.description("PEM of the client's certificate."))),
  key: v.exactOptional(v.pipe(secret, v.description("PEM of the client's key."))),
});

const MIN_INTERVAL =
  "The pause after the first poll that finds nothing; it grows to maxInterval while that lasts. " +
  "After a poll that found rows the next comes at once.";
const poll = v.pipe(
  v.strictObject({
    minInterval: v.optional(
      v.pipe(duration, v.description(MIN_INTERVAL)),
      "250ms",
    ),
    maxInterval: v.optional(
      v.pipe(duration, v.description("The longest pause between polls.")),
      "5s",
    ),
    margin: v.exactOptional(v.pipe(
      durationOrOff,
      v.description("Subtracted from the clock; default 2s, 30s for application stamps."),
    )),
    lag: v.optional(
      v.pipe(
        durationOrOff,
        v.description("How far back each poll reads where open transactions can't be seen."),
      ),
      "30s",
    ),
    pageSize: v.optional(v.pipe(whole(1, 100_000), v.description("Rows read at a time.")), 5000),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    const { minInterval, maxInterval } = keysOf(dataset.value);
    if (typeof minInterval !== "number" || typeof maxInterval !== "number") return;
    if (minInterval >= 1 && minInterval <= maxInterval) return;
    const hint = `They are ${minInterval} ms and ${maxInterval} ms now.`;
    const message = "minInterval must be at least 1 ms and at most maxInterval";
    addIssue({ message: say("INVALID_VALUE", message, hint) });
  }),
);

const tableSection: v.GenericSchema<unknown, TableSection> = v.strictObject({
  stamp: v.exactOptional(v.pipe(column, v.description("The column set at every change."))),
  stamps: v.exactOptional(v.pipe(
    word(["database", "application"]),
    v.description("Whose clock sets the stamp; default database."),
  )),
  stampTimezone: v.exactOptional(v.pipe(
    timeZone,
    v.description("Zone of a stamp of type timestamp without time zone."),
  )),
  capture: v.exactOptional(v.pipe(capture, v.description("Overrides source.capture."))),
});
const tableKey = v.pipe(v.string(), v.check((name) => parseTable(name) !== undefined, NOT_A_TABLE));
const tables = v.pipe(
  v.record(tableKey, tableSection),
  v.description("What is special about single tables."),
  v.transform((named) =>
    Object.entries(named).map(([name, section]) => ({
      table: parseTable(name) ?? { schema: "public", name },
      ...section,
    }))
  ),
);

/** Where the rows are. */
export const source: v.GenericSchema<unknown, SourceSection> = v.strictObject({
  url: v.exactOptional(v.pipe(
    secret,
    v.description('postgres://user@host:5432/database; default {"env": "DATABASE_URL"}.'),
  )),
  tls: v.exactOptional(v.pipe(tls, v.description("Or sslmode in the URL."))),
  capture: v.optional(v.pipe(capture, v.description("How changes are found.")), "auto"),
  pooler: v.optional(
    v.pipe(
      word(["none", "transaction"]),
      v.description('"transaction" behind PgBouncer in transaction mode.'),
    ),
    "none",
  ),
  rowSecurity: v.optional(
    v.pipe(
      word(["refuse", "allow"]),
      v.description("Whether tables whose rows a policy may hide are read."),
    ),
    "refuse",
  ),
  poll: v.optional(v.pipe(poll, v.description("How often and how much is read.")), {}),
  sweeps: v.optional(
    v.pipe(sweeps, v.description("Looking on a schedule for what a capture can't see.")),
    {},
  ),
  tables: v.optional(tables, {}),
  outbox: v.optional(
    v.pipe(outbox, v.description("The application's own table of changed rows.")),
    false,
  ),
  changelog: v.optional(
    v.pipe(changelog, v.description("The log that triggers write; used where it is installed.")),
    {},
  ),
  wal: v.optional(
    v.pipe(wal, v.description("The server's write-ahead log; used where the role may replicate.")),
    {},
  ),
});
