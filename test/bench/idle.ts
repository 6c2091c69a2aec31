/**
 * deno run -A test/bench/idle.ts
 *
 * What following costs while nothing happens: statements a minute, by pg_stat_statements, and CPU of the
 * compiled binary, with 100 tables of ten rows (10 indexes over 10 tables each) and a SQLite sink, at
 * the default intervals and at 50 ms; then the same while a table that nobody follows is written to once
 * a second, which changes the snapshot that every probe looks at. Last, what runs once a minute: the
 * statements that only then were there.
 *
 * All six processes are there at once, each on a database of its own, and are measured in the
 * same SECONDS (20); the one writer is in another database, since the snapshot is the server's.
 * Starts its own server.
 */
import { ok } from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { cleanUp, removeAtExit, stopAtExit } from "../support/janitor.ts";
import { eventually } from "../support/eventually.ts";
import { createDatabase, postgresServer, type TestDatabase } from "../support/postgres.ts";
import { withCleanUp } from "../support/run_command.ts";
import { root } from "../support/toolchain.ts";
import { finish, start, usageOf } from "./process.ts";

const SECONDS = Number(process.env["SECONDS"] ?? "20");
const INDEXES = 10;
const TABLES = 10;
/** `watchSchema` looks each minute. */
const SCHEMA_MS = 60_000;
/** The default's pause has grown to its longest by then, and keys have been compared. */
const CALM_MS = 15_000;
const binary = join(root, "dist", "driftless");
const say = (line: string) => process.stdout.write(`${line}\n`);

const NAMES = Array.from(
  { length: INDEXES * TABLES },
  (_, i) => `t${Math.floor(i / TABLES)}_${i % TABLES}`,
);

/** How each table is followed, by its place among the hundred. */
const KINDS: Readonly<Record<string, (place: number) => string>> = {
  "updated_at (L2)": () => "updated_at",
  changelog: () => "changelog",
  // 40 by stamp, 40 by the changelog, 10 by an outbox with xids, 10 swept alone.
  mixed: (place) => ["outbox", "sweep"][place % TABLES] ?? (place % 2 ? "updated_at" : "changelog"),
};
const POLLS = { default: {}, "50 ms": { minInterval: "50ms", maxInterval: "50ms" } };

/** A database with its hundred tables, and the config beside it. */
interface Place {
  readonly name: string;
  readonly poll: string;
  readonly db: TestDatabase;
  readonly folder: string;
}

interface Subject extends Place {
  readonly child: ChildProcess;
  readonly caughtUp: Promise<unknown>;
}

/** Calls by statement. */
type Calls = ReadonlyMap<string, number>;

interface Reading {
  readonly at: number;
  readonly calls: Calls;
  readonly cpuSeconds: number;
}

/** A window, by the minute. */
interface Figure {
  readonly statements: number;
  /** Share of a core. */
  readonly core: number;
  /** The most frequent ones, by the minute. */
  readonly most: readonly string[];
}

await withCleanUp(async () => {
  const server = await postgresServer(18);
  await using stack = new AsyncDisposableStack();
  const elsewhere = stack.use(
    await createDatabase(
      "CREATE EXTENSION pg_stat_statements; CREATE TABLE other (id int PRIMARY KEY, n int); INSERT INTO other VALUES (1, 0);",
    ),
  );
  const subjects: Subject[] = [];
  stack.defer(async () => {
    for (const { child } of subjects) child.kill("SIGTERM");
    await Promise.all(subjects.map(({ child }) => ended(child)));
  });
  const figures: Record<string, { idle: Figure; written: Figure; minutely: unknown }> = {};
  const places: Place[] = [];
  for (const name of Object.keys(KINDS)) {
    for (const poll of Object.keys(POLLS)) places.push(await place(name, poll, stack));
  }
  // All at once, so that what they do each minute falls into one window.
  const startedAt = performance.now();
  subjects.push(...places.map(follow));
  await Promise.all(subjects.map(({ caughtUp }) => caughtUp));
  ok(performance.now() - startedAt < CALM_MS, "starting took too long to measure anything");
  say(
    `${NAMES.length} idle tables: Postgres ${server.version}, ${SECONDS} s each ` +
      "(goal: one cheap statement per probe)",
  );
  await pause(startedAt + CALM_MS - performance.now());
  const calm = await windows(elsewhere, subjects, () => pause(SECONDS * 1000));
  const written = await windows(elsewhere, subjects, async () => {
    for (let i = 0; i < SECONDS; i++) {
      await elsewhere.sql`UPDATE other SET n = n + 1`;
      await pause(1000);
    }
  });
  const left = startedAt + SCHEMA_MS + CALM_MS - performance.now();
  const later = await windows(elsewhere, subjects, () => pause(Math.max(1000, left)));
  say(
    "                          nothing changes             another table is written to once a second",
  );
  say(
    "capture          poll     statements/min  % of core   statements/min  % of core   once a minute",
  );
  for (const [i, { name, poll }] of subjects.entries()) {
    const [idle, busy] = [calm[i], written[i]];
    ok(idle && busy && later[i]);
    const usual = new Set([...idle.texts.keys(), ...busy.texts.keys()]);
    const minutely = [...later[i].texts].filter(([text]) => !usual.has(text));
    const schema = minutely.reduce((sum, [, calls]) => sum + calls, 0);
    const cells = [idle.figure, busy.figure].map(({ statements, core }) =>
      statements.toFixed(0).padStart(14) + (core * 100).toFixed(2).padStart(11)
    );
    say(`${name.padEnd(17)}${poll.padEnd(9)}${cells.join("   ")}${String(schema).padStart(16)}`);
    const each = minutely.map(([text, calls]) => `${calls} × ${brief(text)}`);
    figures[`${name}, ${poll}`] = {
      idle: idle.figure,
      written: busy.figure,
      minutely: { statements: schema, each },
    };
  }
  for (const [name, { idle, written }] of Object.entries(figures)) {
    say(`${name}, idle: ${idle.most.join(" | ")}`);
    say(`${name}, written: ${written.most.join(" | ")}`);
  }
  say(JSON.stringify({ idle: figures }));
  return 0;
}, cleanUp);

async function place(name: string, poll: string, stack: AsyncDisposableStack): Promise<Place> {
  const kindOf = KINDS[name] ?? (() => "auto");
  const db = stack.use(await createDatabase(ddl()));
  await db.sql`VACUUM ANALYZE`;
  const folder = await mkdtemp(join(tmpdir(), "driftless-bench-"));
  removeAtExit(folder);
  const kinds = NAMES.map((table, place): [string, string] => [table, kindOf(place)]);
  const of = (kind: string) => kinds.flatMap(([table, own]) => own === kind ? [table] : []);
  const hinted = of("outbox");
  const config = {
    source: {
      poll: POLLS[poll as keyof typeof POLLS],
      tables: Object.fromEntries(kinds.map(([table, capture]) => [table, { capture }])),
      ...(hinted.length === 0 ? {} : {
        outbox: {
          table: "outbox",
          tables: Object.fromEntries(hinted.map((table) => [table, table])),
          columns: { table: "kind", key: "row_key", position: "id", xid: "tx" },
        },
      }),
    },
    sinks: { db: { type: "sqlite", path: "idle.db" } },
    indexes: Object.fromEntries(Array.from({ length: INDEXES }, (_, i) => [`i${i}`, indexOf(i)])),
  };
  await writeFile(join(folder, "driftless.jsonc"), JSON.stringify(config));
  const how = { cwd: folder, env: { DATABASE_URL: db.readerUrl } };
  if (of("changelog").length > 0) {
    const apply = ["--apply", "--admin-url", db.url, "--reader", db.readerRole];
    const installed = await finish(binary, ["changelog", "install", ...apply], how);
    ok(installed.code === 0, installed.stderr);
  }
  return { name, poll, db, folder };
}

/** The binary at work. */
function follow(place: Place): Subject {
  const { name, db, folder } = place;
  const env = { DATABASE_URL: db.readerUrl };
  const child = start(binary, ["run", "--log-format", "json"], { cwd: folder, env });
  if (child.pid !== undefined) stopAtExit(child.pid);
  let log = "";
  child.stdout?.resume();
  child.stderr?.setEncoding("utf8").on("data", (text) => log += text);
  const caughtUp = eventually(`${name} to catch up`, () => {
    ok(child.exitCode === null, log);
    return Promise.resolve(log.includes('"caughtUp"'));
  }, { timeoutMs: CALM_MS });
  return { ...place, child, caughtUp };
}

function ddl(): string {
  const tables = NAMES.map((name) => {
    const [index = "", place] = name.slice(1).split("_");
    const parent = place === "0" ? "" : `, parent bigint NOT NULL REFERENCES t${index}_0`;
    return `CREATE TABLE ${name} (id bigint PRIMARY KEY, note text${parent},
        updated_at timestamptz NOT NULL DEFAULT now() - interval '1 day');
      CREATE INDEX ON ${name} (updated_at, id);
      ${parent === "" ? "" : `CREATE INDEX ON ${name} (parent);`}
      INSERT INTO ${name} SELECT g, 'note'${
      parent === "" ? "" : ", g"
    } FROM generate_series(1, 10) g;`;
  });
  return `${tables.join("\n")}
    CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL,
      row_key text NOT NULL, tx xid8 NOT NULL DEFAULT pg_current_xact_id());
    CREATE INDEX ON outbox (tx, id);`;
}

/** A root and nine tables of children. */
function indexOf(index: number): object {
  const children = NAMES.filter((name) => name.startsWith(`t${index}_`)).slice(1);
  return {
    table: `t${index}_0`,
    fields: {
      note: "text",
      ...Object.fromEntries(
        children.map((name) => [
          name,
          { hasMany: name, foreignKey: "parent", fields: { note: "text" } },
        ]),
      ),
    },
  };
}

/** What each of them did while `work` went on. */
async function windows(
  db: TestDatabase,
  subjects: readonly Subject[],
  work: () => Promise<unknown>,
): Promise<readonly { readonly figure: Figure; readonly texts: Calls }[]> {
  const before = await Promise.all(subjects.map((subject) => read(db, subject)));
  await work();
  const after = await Promise.all(subjects.map((subject) => read(db, subject)));
  return after.map((now, i) => {
    const then = before[i] ?? now;
    const minutes = (now.at - then.at) / 60_000;
    const texts = new Map(
      [...now.calls].map(([text, calls]): [string, number] => [
        text,
        calls - (then.calls.get(text) ?? 0),
      ]).filter(([, calls]) => calls > 0).toSorted(([, a], [, b]) => b - a),
    );
    const sum = [...texts.values()].reduce((total, calls) => total + calls, 0);
    const figure = {
      statements: Math.round(sum / minutes),
      core: (now.cpuSeconds - then.cpuSeconds) / (minutes * 60),
      most: [...texts].slice(0, 4).map(([text, calls]) =>
        `${Math.round(calls / minutes)} × ${brief(text)}`
      ),
    };
    return { figure, texts };
  });
}

function brief(text: string): string {
  return text.replace(/\s+/g, " ").slice(0, 60);
}

async function read(on: TestDatabase, { db, child, name }: Subject): Promise<Reading> {
  const usage = await usageOf(child.pid ?? 0);
  ok(usage && child.exitCode === null, `${name} has ended`);
  const rows = await on.sql`SELECT query, sum(calls)::int AS calls FROM pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = ${db.name})
     AND userid = ${db.readerRole}::regrole GROUP BY query`;
  const calls = rows.map((row): [string, number] => [String(row["query"]), Number(row["calls"])]);
  return { at: performance.now(), calls: new Map(calls), cpuSeconds: usage.cpuSeconds };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => child.once("close", resolve));
}
