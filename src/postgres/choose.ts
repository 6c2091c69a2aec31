/**
 * Which ways of following a table work, and which is taken (design 3.1). Pure: what the database says
 * was read before.
 */
import type { Problem } from "../core/problem.ts";
import { tableId } from "../core/table.ts";
import type { CatalogTable } from "./catalog.ts";
import type { CaptureTable } from "./documents/paths.ts";
import {
  chooseStamp,
  keyOf,
  type Refusal,
  type StampDefaults,
  type StampSettings,
} from "./poll/stamps.ts";
import { sweepable } from "./sweep/sweepable.ts";
import type { SweepSettings, SweptTable, Way } from "./ways.ts";

/** The captures that a config can name. */
export type CaptureName = "auto" | "wal" | "updated_at" | "changelog" | "outbox" | "sweep";

/** What the config says of a table: `source.tables`. */
export interface TableSettings extends StampSettings {
  readonly capture?: CaptureName;
}

/** One way of following a table, or why it isn't one. */
export type Chance =
  | { readonly way: Way; readonly problems?: readonly Problem[] }
  /** `alarm`: it was meant to work, and is told of although another way is taken. */
  | { readonly refusal: Refusal; readonly alarm?: boolean };

export interface ChooseOptions {
  /** For tables that say nothing. */
  readonly capture: CaptureName;
  readonly tables: ReadonlyMap<string, TableSettings>;
  readonly stamps: StampDefaults;
  /** 0: no table is followed by a lag. */
  readonly lagMs: number;
  readonly sweeps: SweepSettings;
  readonly standby: boolean;
  /** Tables, by `tableId`, whose row versions this role may not read. */
  readonly hidden: ReadonlyMap<string, Refusal>;
  wal(wish: CaptureTable): Chance;
  changelog(wish: CaptureTable): Chance;
  outbox(wish: CaptureTable): Chance;
}

/** How one table is followed. */
export interface Choice {
  /** Every way that works, the chosen one first; []: an error is among the problems. */
  readonly ways: readonly Way[];
  readonly problems: readonly Problem[];
  /** Why the better ones weren't taken, what was meant to work alone; [] when one is asked for by name. */
  readonly passed: readonly Refusal[];
  readonly asked: CaptureName;
  /** What the row sweep reads of it; undefined: it can't, or is off. */
  readonly swept: SweptTable | undefined;
}

export function choose(
  wish: CaptureTable,
  table: CatalogTable,
  options: ChooseOptions,
): Choice {
  const id = tableId(wish.table);
  const asked = options.tables.get(id)?.capture ?? options.capture;
  const byStamp = stampChances(wish, table, options);
  const sweep = sweepChance(wish, table, options);
  const chances: readonly Chance[] = [
    options.wal(wish),
    options.changelog(wish),
    options.outbox(wish),
    byStamp.tracked,
    byStamp.lagged,
    sweep,
  ];
  const working = chances.filter((chance) => "way" in chance);
  const chosen = asked === "auto" ? working[0] : working.find(({ way }) => way.kind === asked);
  const told = (severity: Problem["severity"], refusal: Refusal, message: string): Problem => {
    const { code, hint } = refusal;
    return { severity, code, path: `source.tables.${id}`, message, hint };
  };

  if (chosen === undefined) {
    const refusal = asked === "auto"
      // The stamp is what most tables can be given.
      ? refusalOf(byStamp.tracked)
      : refusalOf(chances[CHANCE_OF[asked]]);
    const alone = asked === "auto" ? refusalOf(sweep) : undefined;
    const none = { ways: [], passed: [], asked, swept: undefined };
    if (refusal === undefined) return { ...none, problems: [] };
    const but = alone === undefined || alone.state === refusal.state
      ? ""
      : `; and it can't be swept alone: ${alone.state}`;
    const how = asked === "auto" ? "" : ` ${BY[asked]}`;
    const message = `Cannot follow ${id}${how}: ${refusal.state}${but}`;
    return { ...none, problems: [told("error", refusal, message)] };
  }

  const before = asked === "auto" ? chances.slice(0, chances.indexOf(chosen)) : [];
  const alarms = before.flatMap((chance) =>
    "refusal" in chance && chance.alarm ? chance.refusal : []
  );
  const by = BY[wayName(chosen.way)];
  // What was meant to follow it is to be mended; else a stamp that can't be used is worth a word, but
  // only where nothing better is there. (A slot or publication that somebody made says little of one
  // table: what else would help it is said all the same.)
  const broken = alarms.filter(({ code }) => !code.startsWith("WAL_"));
  const unstamped = broken.length === 0 && chosen.way.kind === "sweep" && asked === "auto"
    ? refusalOf(byStamp.tracked)
    : undefined;
  const refused = before.flatMap((chance) => refusalOf(chance) ?? []);
  const ways = [chosen, ...working.filter((each) => each !== chosen)].map(({ way }) => way);
  return {
    ways,
    problems: [
      ...alarms.map((each) => told("warning", each, `${id} is followed ${by}: ${each.state}`)),
      ...(unstamped === undefined
        ? []
        : [told("warning", unstamped, `${id} is swept alone: ${unstamped.state}`)]),
      ...chosen.problems ?? [],
    ],
    passed: broken.length === 0 ? refused : alarms,
    asked,
    swept: "way" in sweep && options.sweeps.rowsMs !== undefined
      ? sweptTable(wish, table, chosen.way.kind, options.sweeps.rowsMs)
      : undefined,
  };
}

/** Places in the order of chances. */
const CHANCE_OF: Readonly<Record<Exclude<CaptureName, "auto">, number>> = {
  wal: 0,
  changelog: 1,
  outbox: 2,
  updated_at: 3,
  sweep: 5,
};

const BY: Readonly<Record<Exclude<CaptureName, "auto">, string>> = {
  wal: "by the WAL",
  changelog: "by the changelog",
  outbox: "by the outbox",
  updated_at: "by a stamp",
  sweep: "by sweeps",
};

function wayName({ kind }: Way): Exclude<CaptureName, "auto"> {
  return kind === "lag" ? "updated_at" : kind;
}

function refusalOf(chance: Chance | undefined): Refusal | undefined {
  return chance !== undefined && "refusal" in chance ? chance.refusal : undefined;
}

function stampChances(
  wish: CaptureTable,
  table: CatalogTable,
  options: ChooseOptions,
): { readonly tracked: Chance; readonly lagged: Chance } {
  const id = tableId(wish.table);
  const hidden = options.hidden.get(id);
  if (hidden !== undefined) return { tracked: { refusal: hidden }, lagged: { refusal: hidden } };
  const choice = chooseStamp(wish, table, options.tables.get(id) ?? {}, options.stamps);
  if ("refusal" in choice) return { tracked: choice, lagged: choice };
  const { polled, problems } = choice;
  const { name, type, zone } = polled.stamp;
  const signature = JSON.stringify([name, type, zone]);
  const capped = options.standby ? ON_STANDBY : table.subscribed === true ? FED : undefined;
  return {
    tracked: capped === undefined
      ? { way: { kind: "updated_at", stream: "updated_at", signature, table: polled }, problems }
      : { refusal: capped },
    lagged: options.lagMs === 0
      ? { refusal: capped ?? NO_LAG }
      : { way: { kind: "lag", stream: "lag", signature, table: polled }, problems },
  };
}

const ON_STANDBY: Refusal = {
  code: "STANDBY",
  state: "this is a standby, where the primary's open transactions can't be seen",
  hint: 'Point source.url to the primary, or let "capture" be "auto": it reads with a lag (L1).',
  sql: [],
};
const FED: Refusal = {
  code: "FED_BY_ANOTHER_SERVER",
  state:
    "a subscription feeds it with another server's rows, whose stamps and transactions aren't this one's",
  hint: 'Follow it at its origin, or let "capture" be "auto": it reads with a lag (L1).',
  sql: [],
};
const NO_LAG: Refusal = {
  code: "LAG_OFF",
  state: "source.poll.lag is off",
  hint: 'Give it: "lag": "30s".',
  sql: [],
};

function sweepChance(
  wish: CaptureTable,
  table: CatalogTable,
  { sweeps, hidden }: ChooseOptions,
): Chance {
  const refusal = hidden.get(tableId(wish.table)) ?? unsweepable(wish, table);
  if (refusal !== undefined) return { refusal };
  if (sweeps.rowsMs === undefined) return { refusal: ROWS_OFF };
  const swept = sweptTable(wish, table, "sweep", sweeps.rowsMs);
  return { way: { kind: "sweep", stream: "sweep", signature: "", table: swept } };
}

const ROWS_OFF: Refusal = {
  code: "SWEEPS_OFF",
  state: "source.sweeps.rows is off",
  hint: 'Give it: "sweeps": { "rows": "1h" }.',
  sql: [],
};

/** Why rows of it can't be looked for by their xmin; undefined: they can. */
function unsweepable(wish: CaptureTable, table: CatalogTable): Refusal | undefined {
  const found = sweepable(table);
  if (found !== undefined) {
    return { code: found.code, state: found.reason, hint: found.hint, sql: [] };
  }
  if (wish.key.length > 0) return undefined;
  return { code: "KEY_MISSING", state: "it has no key", hint: "Give it a primary key.", sql: [] };
}

function sweptTable(
  wish: CaptureTable,
  table: CatalogTable,
  by: Way["kind"],
  rowsMs: number,
): SweptTable {
  const polled = by === "updated_at" || by === "lag";
  return {
    table: wish.table,
    id: tableId(wish.table),
    key: keyOf(wish, table),
    joinColumns: wish.joinColumns,
    alone: by === "sweep",
    // What sees every change is only checked.
    everyMs: polled ? rowsMs : Math.max(rowsMs, DAY_MS),
    recorded: polled,
  };
}

const DAY_MS = 86_400_000;
