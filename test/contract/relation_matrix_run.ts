/**
 * Runs the cells of the relation matrix over one database and one pipeline: all rows are there when it
 * starts, then every cell's transactions are made, one after the other, while it follows; what the sink
 * holds is compared with the tables when everything is acknowledged. Rows of different cells never
 * meet in a document, so that none is mended by another's change.
 */
import { deepEqual, equal, notDeepEqual, ok } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { ChangeCapture, Sink } from "../../src/core/ports.ts";
import type { TableLevel } from "../../src/core/source.ts";
import type { EngineOptions } from "../../src/engine/pipeline.ts";
import type { Statement } from "../../src/postgres/client.ts";
import { type EngineRun, startEngine } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { compareDocuments, type Documents, sqlDocuments } from "../support/truth.ts";
import { type Cell, CELL_IDS } from "./relation_matrix_cells.ts";
import { DDL, INDEXES, TABLES, TRUTH } from "./relation_matrix_schema.ts";

/** How changes are found, and what of that is claimed. */
export interface MatrixLevel {
  readonly name: string;
  readonly expect: Pick<TableLevel, "level" | "capture">;
  /** Of a config. */
  readonly source: Readonly<Record<string, unknown>>;
  /** Run before the rows are there, as superuser. Undone on return of what it returns. */
  prepare?(db: TestDatabase): Promise<void>;
  undo?(db: TestDatabase): Promise<void>;
  /** Rows of other tables that are gone, and keys that are, are seen. */
  readonly seesDeletes: boolean;
  /** The same of a document's own row. */
  readonly seesRoots: boolean;
  /** What is committed is found later than its confirmed position says: by a sweep. */
  readonly late?: boolean;
  readonly keys?: EngineOptions["keys"];
}

/** A sink and what it holds, seen by another way in. */
export interface MatrixSink {
  readonly sink: Sink;
  documents(index: string): Promise<Documents>;
  dispose(): Promise<void>;
}

/** By cell (its number), what is wrong with its documents. */
type Faults = ReadonlyMap<number, CellFaults>;
interface CellFaults {
  readonly wrong: readonly string[];
  /** Documents of rows that aren't there. */
  readonly extra: readonly string[];
}

const NONE: CellFaults = { wrong: [], extra: [] };

export function runMatrix(
  level: MatrixLevel,
  wanted: readonly Cell[],
  major: 18 | 15,
  open: () => Promise<MatrixSink>,
  sinkName: string,
): void {
  describe(`${level.name}, Postgres ${major}, ${sinkName}`, () => {
    let run: MatrixRun;
    let first: Faults;
    let last: Faults;
    let seeded: Truth;
    let changed: Truth;
    before(async () => {
      run = await openMatrix(level, wanted, major, open);
      seeded = await run.truth();
      equal((await run.faults()).size, 0, "what is seeded is right");
      for (const cell of wanted) for (const act of cell.acts) await run.transaction(act);
      changed = await run.truth();
      const claimed = (cell: Cell) => !isLost(cell, level);
      await run.caughtUp(claimed);
      first = await run.faults();
      for (const cell of wanted) {
        if (isLost(cell, level) && cell.lost.includes("child")) await run.transaction(cell.touch);
      }
      await run.caughtUp();
      last = await run.faults();
    });
    after(() => run?.dispose());

    test("every table is followed as meant, and says what of a deleted row is seen", () => {
      const levels = run.levels();
      deepEqual(new Set(levels.map((each) => each.table)).size, Object.keys(TABLES).length);
      for (const { table, level: name, capture, deletes, found, claim } of levels) {
        deepEqual({ level: name, capture }, level.expect, table);
        equal(deletes, level.seesDeletes, table);
        const root = /^public\.(r\d|node|bt)$/.test(table);
        if (level.seesDeletes) {
          ok(!found.deletes.includes("not seen"), `${table}: ${found.deletes}`);
        } else if (!root || !level.seesRoots) {
          equal(found.deletes, "not seen", `${table}: ${claim}`);
        }
      }
    });

    const groups = Map.groupBy(wanted, (cell) => cell.group);
    for (const [group, own] of groups) {
      describe(group, () => {
        for (const cell of own) {
          const lost = isLost(cell, level);
          test(
            cell.name + (lost ? ": not claimed, right when what shows it is written" : ""),
            () => {
              const number = cell.base / CELL_IDS;
              const is = [seeded, changed].map((truth) => truth.get(number) ?? "");
              if (cell.same) equal(is[1], is[0], "the case leaves its documents as they were");
              else notDeepEqual(is[1], is[0], "the case changes a document");
              const { wrong, extra } = last.get(number) ?? NONE;
              deepEqual(wrong, []);
              // Nothing shows a document whose own row is gone for certain but a comparison of keys.
              if (level.seesRoots || !cell.lost.includes("root")) deepEqual(extra, []);
              if (!lost) return deepEqual(first.get(number) ?? NONE, NONE);
              const before = first.get(number) ?? NONE;
              ok(
                before.wrong.length + before.extra.length > 0,
                "the level says too little of itself",
              );
            },
          );
        }
      });
    }
  });
}

/** Whether the level doesn't claim to see all of it. */
export function isLost({ lost }: Cell, { seesDeletes, seesRoots }: MatrixLevel): boolean {
  return lost.includes("child") && !seesDeletes || lost.includes("root") && !seesRoots;
}

/** What the documents of each cell have to be, as text. */
type Truth = ReadonlyMap<number, string>;

export interface MatrixRun {
  readonly db: TestDatabase;
  readonly engine: EngineRun;
  levels(): readonly TableLevel[];
  transaction(sql: string): Promise<void>;
  /**
   * Resolves when everything that is committed now is acknowledged; where it is found late, when
   * the documents of those cells are right, or after a while.
   */
  caughtUp(cells?: (cell: Cell) => boolean): Promise<void>;
  /** Whether everything that was committed at that clock is acknowledged. */
  confirmed(clock: string): boolean;
  /** The source's, as the capture tells it. */
  clock(): Promise<string>;
  truth(): Promise<Truth>;
  faults(): Promise<Faults>;
  dispose(): Promise<void>;
}

export interface MatrixOptions {
  readonly supervised?: boolean;
  /** Stands between the engine and the sink. */
  readonly wrap?: (sink: Sink) => Sink;
  /** Sees each statement that the builder sends. */
  readonly sent?: (statement: Statement) => void;
}

export async function openMatrix(
  level: MatrixLevel,
  wanted: readonly Cell[],
  major: 18 | 15,
  open: () => Promise<MatrixSink>,
  more: MatrixOptions = {},
): Promise<MatrixRun> {
  const stack = new AsyncDisposableStack();
  try {
    const db = stack.use(await createDatabase(DDL, major));
    const writer = await db.sql.reserve();
    stack.defer(() => writer.release());
    if (level.undo !== undefined) stack.defer(() => level.undo?.(db));
    await level.prepare?.(db);
    const seeds = wanted.map(({ seed }) => seed).filter((seed) => seed !== "");
    await db.sql.unsafe(seeds.join(";\n")).simple();
    await db.sql`ANALYZE`;
    const matrix = await open();
    stack.defer(() => matrix.dispose());
    let capture: ChangeCapture | undefined;
    const engine = stack.use(startEngine({
      url: db.readerUrl,
      sinks: [more.wrap?.(matrix.sink) ?? matrix.sink],
      indexes: INDEXES,
      source: {
        poll: { minInterval: "10ms", maxInterval: "40ms", margin: "50ms", lag: "200ms" },
        ...level.source,
      },
      options: {
        batch: { maxChanges: 1000, maxDelayMs: 20 },
        seed: { parallel: 2, chunk: 500 },
        ...(level.keys === undefined ? {} : { keys: level.keys }),
      },
      wrap: (made) => capture = made,
      watchMs: 60_000,
      ...(more.supervised === undefined ? {} : { supervised: more.supervised }),
      ...(more.sent === undefined ? {} : { sent: more.sent }),
    }));
    await within(engine, "the seed", () => engine.events.some(({ type }) => type === "caughtUp"));

    const each = async (documents: (index: string) => Promise<Documents>) => {
      const all: (readonly [string, Documents])[] = [];
      for (const index of Object.keys(INDEXES)) all.push([index, await documents(index)]);
      return new Map(all);
    };
    const expected = () => each((index) => sqlDocuments(db.sql, TRUTH[index] ?? ""));
    const faults = async (): Promise<Faults> => {
      const [should, is] = [await expected(), await each((index) => matrix.documents(index))];
      return faultsOf(should, is);
    };
    const run: MatrixRun = {
      db,
      engine,
      levels: () => [
        ...new Map(
          engine.events.flatMap((event) =>
            event.type === "table" ? [[event.level.table, event.level] as const] : []
          ),
        ).values(),
      ],
      transaction: async (sql) => void await writer.unsafe(`BEGIN; ${sql}; COMMIT`).simple(),
      confirmed: (clock) => (capture?.confirmed().through ?? "") >= clock,
      async clock() {
        const [row] = await db.sql`SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC',
          'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS clock`;
        return String(row?.["clock"]);
      },
      async caughtUp(cells = () => true) {
        const clock = await run.clock();
        await within(
          engine,
          "what is committed to be acknowledged",
          () => run.confirmed(clock),
        );
        if (level.late !== true) return;
        const numbers = wanted.filter(cells).map(({ base }) => base / CELL_IDS);
        await eventually("the sweeps to have found everything", async () => {
          if (engine.ended()) return true;
          const found = await faults();
          return !numbers.some((number) => found.has(number));
        }, { timeoutMs: 30_000, everyMs: 200 }).catch(() => {});
      },
      async truth() {
        const truth = new Map<number, string>();
        for (const [index, documents] of await expected()) {
          for (const [id, text] of [...documents].sort(([a], [b]) => Number(a) - Number(b))) {
            const number = numberOf(id);
            truth.set(number, `${truth.get(number) ?? ""}${index}/${id} ${text}\n`);
          }
        }
        return truth;
      },
      faults,
      dispose: () => stack.disposeAsync(),
    };
    return run;
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

function faultsOf(
  should: ReadonlyMap<string, Documents>,
  is: ReadonlyMap<string, Documents>,
): Faults {
  const faults = new Map<number, { wrong: string[]; extra: string[] }>();
  const of = (id: string) => {
    const number = numberOf(id);
    const known = faults.get(number) ?? { wrong: [], extra: [] };
    faults.set(number, known);
    return known;
  };
  for (const [index, documents] of should) {
    const actual = is.get(index) ?? new Map<string, string>();
    const { missing, different, extra } = compareDocuments(actual, documents);
    for (const id of missing) of(id).wrong.push(`${index}/${id} is missing`);
    for (const id of different) {
      of(id).wrong.push(`${index}/${id} is ${actual.get(id)}, not ${documents.get(id)}`);
    }
    for (const id of extra) of(id).extra.push(`${index}/${id} has no row`);
  }
  return faults;
}

function numberOf(id: string): number {
  return Math.floor(Number(id) / CELL_IDS);
}

/** However slow the machine is: only what hangs fails. */
async function within(engine: EngineRun, what: string, holds: () => boolean): Promise<void> {
  await eventually(what, () => Promise.resolve(engine.ended() || holds()), {
    timeoutMs: 120_000,
    everyMs: 10,
  });
  if (engine.ended()) throw new Error(`Cannot see ${what}`, { cause: await engine.outcome() });
}
