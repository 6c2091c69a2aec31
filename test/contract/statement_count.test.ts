/**
 * How many statements a batch costs: as many for 1,000 changes as for one. Counted where they are sent.
 * The rest of the round trip, what the sink is asked, is counted in relation_matrix_batches.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { wishesOf } from "../../src/app/source.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { Change } from "../../src/core/change.ts";
import type { DocumentBuilder } from "../../src/core/ports.ts";
import { type Database, openDatabase, type Statement } from "../../src/postgres/client.ts";
import { openDocumentBuilder } from "../../src/postgres/documents/build.ts";
import { planSource, type SourcePlan } from "../../src/postgres/source_plan.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { EPOCH, SIGNAL } from "./documents_fixture.ts";
import { CHANGELOG, STAMPS } from "./relation_matrix_levels.ts";
import type { MatrixLevel } from "./relation_matrix_run.ts";
import { DDL, INDEXES } from "./relation_matrix_schema.ts";

const ROWS = 2_000;
const SIZES = [1, 10, 1_000] as const;

/** Each root has one row on each level down to hm, at depth 3. */
const SEED = `
INSERT INTO r3 (id, v) SELECT g, 0 FROM generate_series(1, ${ROWS}) g;
INSERT INTO c1 (id, up, next, v) SELECT 10000 + g, g, 20000 + g, 1 FROM generate_series(1, ${ROWS}) g;
INSERT INTO c2 (id, v) SELECT 20000 + g, 2 FROM generate_series(1, ${ROWS}) g;
INSERT INTO hm (id, up, v) SELECT 30000 + g, 20000 + g, 3 FROM generate_series(1, ${ROWS}) g;
ANALYZE;
`;

/** What one batch sent. */
interface Sent {
  /** Statements, and round trips that carried them. */
  readonly resolve: readonly [statements: number, trips: number];
  readonly build: readonly [statements: number, trips: number];
}

for (const level of [CHANGELOG, STAMPS]) {
  describe(`a batch of changes of a row at depth 3, by ${level.name}`, () => {
    let counted: Counted;
    before(async () => {
      counted = await open(level, ["d3"]);
    });
    after(() => counted?.dispose());

    test("is resolved and built in a number of statements that its size doesn't change", async () => {
      const sent: Sent[] = [];
      for (const size of SIZES) {
        sent.push(await counted.batch(changesOf(size, level.seesDeletes), size));
      }
      const [first] = sent;
      ok(first !== undefined);
      for (const each of sent) deepEqual(each, first);
      ok(first.resolve[0] >= 1 && first.resolve[0] <= 2, JSON.stringify(first));
      // The position, then the documents.
      deepEqual(first.build, [2, 1]);
    });
  });
}

describe("a batch of changes that lead to four indexes", () => {
  let counted: Counted;
  before(async () => {
    counted = await open(STAMPS, Object.keys(INDEXES));
  });
  after(() => counted?.dispose());

  test("costs a fixed number of statements for each index", async () => {
    const sent: Sent[] = [];
    for (const size of SIZES) sent.push(await counted.batch(changesOf(size, false), size));
    const [first] = sent;
    for (const each of sent) deepEqual(each, first);
    ok(
      first !== undefined && first.resolve[0] <= 8 && first.resolve[1] === 1,
      JSON.stringify(first),
    );
  });
});

/** Updates of so many rows of hm; `seen`: as the changelog tells them. */
function changesOf(size: number, seen: boolean): readonly Change[] {
  return Array.from({ length: size }, (_, at): Change => ({
    table: { schema: "public", name: "hm" },
    op: "upsert",
    key: [String(30_001 + at)],
    ...(seen
      ? {
        sawBefore: true,
        before: { up: String(20_001 + at) },
        after: { up: String(20_001 + at) },
      }
      : {}),
  }));
}

interface Counted {
  /** Resolves and builds, what the sink would find for `sought` too; so many documents are built. */
  batch(changes: readonly Change[], documents: number): Promise<Sent>;
  dispose(): Promise<void>;
}

async function open(level: MatrixLevel, names: readonly string[]): Promise<Counted> {
  const stack = new AsyncDisposableStack();
  const db: TestDatabase = stack.use(await createDatabase(DDL));
  await level.prepare?.(db);
  await db.sql.unsafe(SEED).simple();
  const indexes = Object.fromEntries(names.map((name) => [name, INDEXES[name]]));
  const text = JSON.stringify({ source: { url: db.readerUrl, ...level.source }, indexes });
  const { config, problems } = await loadConfig("test.jsonc", {}, () => Promise.resolve(text));
  ok(config, JSON.stringify(problems));
  const inner = stack.use(openDatabase({
    url: db.readerUrl,
    pooler: "none",
    rowSecurity: "refuse",
    maxConnections: 2,
    applicationName: `driftless/test-${crypto.randomUUID()}`,
    statementTimeoutMs: 60_000,
  }));
  const plan: SourcePlan = await planSource(inner, wishesOf(config), SIGNAL);
  deepEqual(plan.plans.map(({ name }) => name), names);
  for (const { refs, tables } of plan.plans) {
    const shows = tables.some(({ name }) => name === "hm");
    equal(refs.includes("public.hm"), shows && !level.seesDeletes);
  }
  let sent: [number, number] = [0, 0];
  const note = (statements: readonly Statement[]) => {
    sent = [sent[0] + statements.length, sent[1] + 1];
  };
  const database: Database = {
    ...inner,
    query(statement, signal) {
      note([statement]);
      return inner.query(statement, signal);
    },
    sequence(statements, signal) {
      note(statements);
      return inner.sequence(statements, signal);
    },
  };
  const builder: DocumentBuilder = stack.use(openDocumentBuilder({
    database,
    plans: plan.plans,
    catalog: plan.catalog,
    maxDocumentBytes: 10 << 20,
  }));
  const counting = async <T>(act: () => Promise<T>): Promise<[T, [number, number]]> => {
    sent = [0, 0];
    return [await act(), sent];
  };
  return {
    async batch(changes, documents) {
      const [{ ids, sought }, resolve] = await counting(() => builder.resolve(changes, SIGNAL));
      equal(ids.filter(({ index }) => index === "d3").length, documents);
      const asked = sought.get("d3")?.length ?? 0;
      equal(asked, level.seesDeletes ? 0 : changes.length, "each row is looked for, once");
      const [built, build] = await counting(() => builder.build(ids, EPOCH, SIGNAL));
      equal(built.documents.filter(({ index }) => index === "d3").length, documents);
      deepEqual(built.rejections, []);
      return { resolve, build };
    },
    dispose: () => stack.disposeAsync(),
  };
}
