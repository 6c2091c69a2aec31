/** Changes that show nowhere, truncates, and many rows that move at once. */
import { equal, notDeepEqual, ok } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Sink } from "../../src/core/ports.ts";
import { eventually } from "../support/eventually.ts";
import { hold } from "../support/scripted_sink.ts";
import { type Cell, cells } from "./relation_matrix_cells.ts";
import { CHANGELOG, openSearch, OUTBOX, sqlite, STAMPS } from "./relation_matrix_levels.ts";
import { type MatrixRun, openMatrix } from "./relation_matrix_run.ts";
import { TABLES } from "./relation_matrix_schema.ts";

/** Rows in every table, at every depth. */
const EVERYWHERE = cells(({ name }) => /value changes|value of the target changes/.test(name));

describe("at L4 a change of a column that no index uses builds nothing", () => {
  let run: MatrixRun;
  let written = 0;
  before(async () => {
    run = await openMatrix(CHANGELOG, EVERYWHERE, 18, sqlite, {
      wrap: (sink) => ({
        ...sink,
        write(documents, mode, signal) {
          written += documents.length;
          return sink.write(documents, mode, signal);
        },
        [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
      }),
    });
  });
  after(() => run?.dispose());

  /** Documents written because of that. */
  async function writes(sql: string): Promise<number> {
    const from = written;
    await run.transaction(sql);
    await run.caughtUp();
    return written - from;
  }

  for (const table of Object.keys(TABLES)) {
    test(`of ${table}`, async () => {
      const [row] = await run.db.sql.unsafe(`SELECT count(*)::int AS rows FROM ${table}`);
      ok(Number(row?.["rows"]) > 0, "there are rows to change");
      equal(await writes(`UPDATE ${table} SET spare = coalesce(spare, 0) + 1`), 0);
    });
  }

  test("of a row that nothing leads to", async () => {
    equal(await writes("INSERT INTO hm VALUES (1, NULL, 1); UPDATE hm SET v = 2 WHERE id = 1"), 0);
  });

  test("but one that a filter, an order or a link reads does, shown or not", async () => {
    for (const change of ["hw SET shown = false", "hl SET pos = 9", "nj SET r = r + 1"]) {
      ok(await writes(`UPDATE ${change}`) > 0, change);
    }
    equal((await run.faults()).size, 0);
  });
});

describe("a truncated table is gone from every document at L4", () => {
  let run: MatrixRun;
  before(async () => {
    run = await openMatrix(CHANGELOG, EVERYWHERE, 18, sqlite, { supervised: true });
  });
  after(() => run?.dispose());

  for (
    const tables of [
      ["bt", "bu", "bc", "mt"],
      ["ho", "hm", "hw", "hl", "hc", "ag", "aw"],
      ["nj", "gj", "cj"],
      ["c1"],
      ["node", "r2"],
    ]
  ) {
    test(tables.join(", "), async () => {
      const was = await run.truth();
      await run.transaction(`TRUNCATE ${tables.join(", ")}`);
      notDeepEqual(await run.truth(), was);
      const right = async () => run.engine.ended() || (await run.faults()).size === 0;
      await eventually("the documents without them", right, { timeoutMs: 60_000, everyMs: 100 });
      ok(!run.engine.ended());
    });
  }
});

for (
  const [level, open, where] of [
    [STAMPS, sqlite, "updated_at, sqlite"],
    [STAMPS, openSearch, "updated_at, opensearch"],
    [OUTBOX, sqlite, "an outbox, sqlite"],
  ] as const
) {
  test(`1,000 rows that move from 1,000 parents at once are looked for like 10 (${where})`, async () => {
    const counts = { holders: 0, refs: 0, statements: 0 };
    const run = await openMatrix(level, [MANY], 18, open, {
      sent: () => void counts.statements++,
      wrap: (sink) =>
        countingHolders(sink, (refs) => {
          counts.holders++;
          counts.refs += refs;
        }),
    });
    try {
      const figures: (typeof counts & { batches: number })[] = [];
      for (const [from, rows] of [[0, 10], [10, 1_000]] as const) {
        Object.assign(counts, { holders: 0, refs: 0, statements: 0 });
        const before = batches(run);
        await run.transaction(
          `UPDATE hm SET up = up + 5000 WHERE up BETWEEN ${from + 1} AND ${from + rows}`,
        );
        await run.caughtUp();
        equal((await run.faults()).size, 0, "all parents are right when it is acknowledged");
        figures.push({ ...counts, batches: batches(run) - before });
      }
      const [ten, thousand] = figures;
      const said = JSON.stringify(figures);
      ok((ten?.refs ?? 0) >= 10 && (thousand?.refs ?? 0) >= 1_000, said);
      // However slow the machine is, rows of one statement come in few batches.
      ok((thousand?.batches ?? 0) <= (ten?.batches ?? 0) + 30, said);
      for (const { holders, statements, batches } of figures) {
        // hm shows in four indexes.
        ok(holders <= 4 * batches, said);
        ok(statements <= 8 * batches, said);
      }
    } finally {
      await run.dispose();
    }
  });
}

test("a row that moved is acknowledged only when the document that it left was rebuilt", async () => {
  const gate = hold();
  let asked = false;
  const run = await openMatrix(STAMPS, [MANY], 18, sqlite, {
    wrap: (sink) => ({
      ...countingHolders(sink, () => asked = true),
      async write(documents, mode, signal) {
        // The documents that were found: those of the first round are without the row's old parent.
        if (asked && documents.some(({ id }) => id === "1")) await gate.wait(signal);
        return await sink.write(documents, mode, signal);
      },
    }),
  });
  try {
    await run.transaction("UPDATE hm SET up = 5001 WHERE up = 1");
    const clock = await run.clock();
    await gate.reached;
    // As long as it takes other rows to be found and acknowledged, many times over.
    await run.db.sql`SELECT pg_sleep(0.5)`;
    equal(run.confirmed(clock), false);
    gate.release();
    await run.caughtUp();
    equal((await run.faults()).size, 0);
  } finally {
    gate.release();
    await run.dispose();
  }
});

/** 1,010 rows below as many documents, and as many documents that they can move to. */
const MANY: Cell = {
  kind: "many",
  group: "many",
  name: "many",
  depth: 1,
  base: 0,
  seed: `INSERT INTO r1 (id, v) SELECT g + at, 0
      FROM generate_series(1, 1010) g, (VALUES (0), (5000)) AS place (at);
    INSERT INTO hm (id, up, v) SELECT 10000 + g, g, 7 FROM generate_series(1, 1010) g`,
  acts: [],
  lost: [],
  same: true,
  asks: true,
  touch: "",
};

function countingHolders(sink: Sink, saw: (refs: number) => void): Sink {
  const { refs } = sink;
  ok(refs !== undefined, "the sink can be asked");
  return {
    ...sink,
    refs: {
      ...refs,
      holders(index, wanted, signal) {
        saw(wanted.length);
        return refs.holders(index, wanted, signal);
      },
    },
    [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
  };
}

function batches({ engine }: MatrixRun): number {
  return engine.events.filter((event) => event.type === "batch" && event.mode === "live").length;
}
