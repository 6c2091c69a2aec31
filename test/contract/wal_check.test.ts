import { deepEqual, doesNotMatch, equal, match, notEqual, ok, rejects } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { openSource, wishesOf } from "../../src/app/source.ts";
import { dispatch } from "../../src/cli/dispatch.ts";
import { loadConfig } from "../../src/config/load.ts";
import { planSource } from "../../src/postgres/source_plan.ts";
import { ensurePublication } from "../../src/postgres/wal/publication.ts";
import { createSlot, SLOT_SESSION } from "../../src/postgres/wal/slot.ts";
import { openWalSession } from "../../src/postgres/wal/session.ts";
import { runApp } from "../support/app_run.ts";
import { type Checked, runCheck } from "../support/check_run.ts";
import { eventually } from "../support/eventually.ts";
import { inFolder } from "../support/in_folder.ts";
import { at, createDatabase, startPostgres, type TestDatabase } from "../support/postgres.ts";

const DDL = `
CREATE TABLE invoice (id bigint PRIMARY KEY, v text);
CREATE TABLE line (id bigint PRIMARY KEY, invoice_id bigint, v text);
CREATE INDEX ON line (invoice_id);
CREATE TABLE keyless (v text NOT NULL);
CREATE TABLE shut (id bigint PRIMARY KEY, v text);
ALTER TABLE shut REPLICA IDENTITY NOTHING;`;

const V = { v: "keyword" };
const INVOICES = {
  table: "invoice",
  fields: { ...V, lines: { hasMany: "line", foreignKey: "invoice_id", fields: V } },
};

function configOf(
  db: TestDatabase,
  source: Readonly<Record<string, unknown>> = {},
  indexes: Readonly<Record<string, unknown>> = { invoices: INVOICES },
) {
  return {
    source: { url: db.readerUrl, ...source },
    sinks: { out: { type: "stdout" } },
    indexes,
  };
}

const BY_WAL = { capture: "wal" };

/** `error CODE` of what concerns a capture, without the warnings of others. */
function errorsOf({ problems }: Checked): readonly string[] {
  return problems.filter(({ severity }) => severity === "error").map(({ code }) => code);
}

function messagesOf({ problems }: Checked): string {
  return problems.map(({ message, hint }) => `${message}\n${hint}`).join("\n");
}

/** What the database says is run by whoever may. */
async function apply(db: TestDatabase, sql: readonly string[], but: RegExp): Promise<void> {
  for (const each of sql.filter((text) => !text.startsWith("--") && !but.test(text))) {
    await db.sql.unsafe(each);
  }
}

function levelsOf({ tables }: Checked): readonly string[] {
  return [...tables.values()].map(({ table, level, capture }) => `${table} ${level} ${capture}`);
}

for (const major of [18, 15] as const) {
  describe(`a table that the WAL is asked for, on Postgres ${major}`, () => {
    test(
      "is followed by it once the SQL was run that check prints, of the role and of the publication",
      inFolder(async (folder) => {
        await using db = await createDatabase(DDL, major);
        const first = await runCheck(folder, configOf(db, BY_WAL));
        deepEqual(errorsOf(first), ["WAL_ROLE"], first.text);
        match(
          messagesOf(first),
          /Cannot follow public\.invoice, public\.line by the WAL: role \w+ lacks REPLICATION/,
        );
        deepEqual(first.sql, [`ALTER ROLE "${db.readerRole}" REPLICATION;`]);
        equal(first.code, 2);
        await apply(db, first.sql, /^$/);

        const second = await runCheck(folder, configOf(db, BY_WAL));
        deepEqual(errorsOf(second), ["WAL_UNPUBLISHED", "WAL_UNPUBLISHED"], second.text);
        match(messagesOf(second), /there is no publication "driftless", and \w+ doesn't own the/);
        deepEqual(second.sql, [
          'CREATE PUBLICATION "driftless" FOR TABLE public.invoice, public.line;',
        ]);
        await apply(db, second.sql, /^$/);

        const third = await runCheck(folder, configOf(db, BY_WAL));
        deepEqual(errorsOf(third), [], third.text);
        deepEqual(levelsOf(third), ["public.invoice L5 wal", "public.line L5 wal"]);
        const line = third.tables.get("public.line");
        match(
          line?.claim ?? "",
          /whether triggers fire or not .*moves to another parent is looked/,
        );
        // What makes the WAL say where a line was.
        deepEqual(third.sql, ["ALTER TABLE public.line REPLICA IDENTITY FULL;"]);
        match(third.text, new RegExp(`slot "driftless_${db.name}": not there yet, run makes it`));
        match(third.text, /publication "driftless": sends the 2 tables that are followed by it/);
        match(third.text, /^ +at once, at L5 = as the server sends it, without a poll\.$/m);
        doesNotMatch(third.text, /by the next poll/);
        await apply(db, third.sql, /^$/);
        const full = await runCheck(folder, configOf(db, BY_WAL));
        doesNotMatch(full.tables.get("public.line")?.claim ?? "", /parent/);
        deepEqual(full.sql, []);

        await db.sql`ALTER PUBLICATION driftless DROP TABLE line`;
        const lacking = await runCheck(folder, configOf(db, BY_WAL));
        deepEqual(errorsOf(lacking), ["WAL_UNPUBLISHED"], lacking.text);
        match(messagesOf(lacking), /public\.line by the WAL: publication "driftless" lacks it/);
        deepEqual(lacking.sql, ['ALTER PUBLICATION "driftless" ADD TABLE public.line;']);
        await apply(db, lacking.sql, /^$/);
        deepEqual(errorsOf(await runCheck(folder, configOf(db, BY_WAL))), []);
      }),
    );

    test(
      "without a key, or whose replica identity is nothing, is never published before that is mended",
      inFolder(async (folder) => {
        await using db = await createDatabase(DDL, major);
        await db.sql.unsafe(`ALTER ROLE ${db.readerRole} REPLICATION`);
        const indexes = {
          keyless: { table: "keyless", key: ["v"], fields: V },
          shut: { table: "shut", fields: V },
        };
        const first = await runCheck(folder, configOf(db, BY_WAL, indexes));
        deepEqual(errorsOf(first), ["WAL_IDENTITY", "WAL_IDENTITY"], first.text);
        const said = messagesOf(first);
        match(
          said,
          /Cannot follow public\.keyless by the WAL: it has no primary key, and its replica identity is nothing: UPDATE and DELETE of a published table without one fail for the application/,
        );
        match(said, /Cannot follow public\.shut by the WAL: its replica identity is nothing/);
        deepEqual(first.sql, [
          "ALTER TABLE public.keyless REPLICA IDENTITY FULL;",
          "ALTER TABLE public.shut REPLICA IDENTITY DEFAULT;",
        ]);
        await apply(db, first.sql, /^$/);
        const second = await runCheck(folder, configOf(db, BY_WAL, indexes));
        deepEqual(errorsOf(second), ["WAL_UNPUBLISHED", "WAL_UNPUBLISHED"], second.text);
        await apply(db, second.sql, /^$/);
        const third = await runCheck(folder, configOf(db, BY_WAL, indexes));
        deepEqual(levelsOf(third), ["public.keyless L5 wal", "public.shut L5 wal"], third.text);
        await db.sql`INSERT INTO keyless VALUES ('a')`;
        await db.sql`UPDATE keyless SET v = 'b'`;
      }),
    );
  });
}

describe("a server whose WAL can't be followed", () => {
  test(
    "since wal_level is replica says so to check and to run, once, with the SQL",
    inFolder(async (folder) => {
      const server = await startPostgres({ major: 18, settings: { wal_level: "replica" } });
      try {
        await using db = await createDatabase(DDL, server);
        await db.sql.unsafe(`ALTER ROLE ${db.readerRole} REPLICATION`);
        const checked = await runCheck(folder, configOf(db, BY_WAL));
        deepEqual(errorsOf(checked), ["WAL_LEVEL"], checked.text);
        match(messagesOf(checked), /wal_level is replica .* takes a restart of the server/);
        deepEqual(checked.sql, ["ALTER SYSTEM SET wal_level = logical;"]);

        const { config } = await loadConfig(
          "c.jsonc",
          {},
          () => Promise.resolve(JSON.stringify(configOf(db, BY_WAL))),
        );
        ok(config);
        const sinks = [{ type: "sqlite" as const, name: "db", path: join(folder, "d.db") }];
        const run = runApp({ ...config, sinks });
        await rejects(Promise.all([run.ended, run.caughtUp]), /Cannot serve "invoices"/);
        const problems = run.events.flatMap((event) =>
          event.type === "problem" && event.problem.severity === "error" ? event.problem : []
        );
        deepEqual(problems.map(({ code, hint }) => [code, hint]), [
          ["WAL_LEVEL", "ALTER SYSTEM SET wal_level = logical;"],
        ]);

        // Nobody asked for it: then it is a note.
        const auto = await runCheck(folder, configOf(db));
        equal(auto.code, 0, auto.text);
        equal(auto.text.split("wal_level").length, 3, `the state and its SQL:\n${auto.text}`);
        match(auto.text, /^write-ahead log\n {2}not used: wal_level is replica/m);
        doesNotMatch(auto.tables.get("public.line")?.why ?? "", /wal_level/);
        doesNotMatch(auto.sql.join("\n"), /ALTER SYSTEM/);
        doesNotMatch((await runCheck(folder, configOf(db, { wal: false }))).text, /wal_level/);
      } finally {
        await server.stop();
      }
    }),
  );

  test(
    "for want of a slot says which ones nobody reads, and warns even if nobody asked",
    inFolder(async (folder) => {
      const settings = { max_replication_slots: "1" };
      const server = await startPostgres({ major: 18, settings });
      try {
        await using db = await createDatabase(DDL, server);
        await db.sql.unsafe(`ALTER ROLE ${db.readerRole} REPLICATION`);
        await db.sql`SELECT pg_create_physical_replication_slot('old_standby')`;
        const asked = await runCheck(folder, configOf(db, BY_WAL));
        deepEqual(errorsOf(asked), ["WAL_NO_SLOT"], asked.text);
        match(
          messagesOf(asked),
          /all 1 of max_replication_slots .*nobody reads now \(old_standby\)/,
        );
        deepEqual(asked.sql, ["ALTER SYSTEM SET max_replication_slots = 6;"]);
        const auto = await runCheck(folder, configOf(db));
        deepEqual(
          auto.problems.filter(({ code }) => code.startsWith("WAL_")).map(({ severity, code }) =>
            `${severity} ${code}`
          ),
          ["warning WAL_NO_SLOT"],
        );
        await db.sql`SELECT pg_drop_replication_slot('old_standby')`;
        const free = await runCheck(folder, configOf(db, BY_WAL));
        deepEqual(errorsOf(free), ["WAL_UNPUBLISHED", "WAL_UNPUBLISHED"], free.text);
      } finally {
        await server.stop();
      }
    }),
  );
});

test(
  "auto takes the WAL where it is permitted, and says whatever keeps one table from it",
  inFolder(async (folder) => {
    await using db = await createDatabase(DDL);
    const owner = await invoiceOwner(db);
    try {
      const config = configOf({ ...db, readerUrl: at(db.url, { user: owner }) });
      const own = await runCheck(folder, config);
      equal(own.code, 0, own.text);
      deepEqual(levelsOf(own), ["public.invoice L5 wal", "public.line L3 sweep"]);
      match(
        own.tables.get("public.line")?.why ?? "",
        /no publication .* doesn't own the table, .*; no changelog/,
      );
      deepEqual(own.problems.filter(({ code }) => code.startsWith("WAL_")), []);
      // Once it is there, what it lacks is an alarm.
      await db.sql`CREATE PUBLICATION driftless FOR TABLE invoice`;
      const lacking = await runCheck(folder, config);
      deepEqual(
        lacking.problems.filter(({ code }) => code.startsWith("WAL_")).map(({ path, hint }) => [
          path,
          hint,
        ]),
        [[
          "source.tables.public.line",
          'ALTER PUBLICATION "driftless" ADD TABLE public.line;',
        ]],
      );
    } finally {
      await db.sql.unsafe(`REASSIGN OWNED BY ${owner} TO postgres; DROP OWNED BY ${owner};
        DROP ROLE ${owner};`).simple();
    }
  }),
);

test("plans stay what they are when slot and publication are made, and change when an identity does", async () => {
  await using db = await createDatabase(DDL);
  const owner = await invoiceOwner(db);
  const url = at(db.url, { user: owner });
  const { config } = await loadConfig(
    "c.jsonc",
    {},
    () => Promise.resolve(JSON.stringify(configOf(db, { url, capture: "auto" }))),
  );
  ok(config);
  const never = new AbortController().signal;
  await using source = openSource(config, 1);
  await using admin = openSource(config, 1, { writes: true, settings: SLOT_SESSION });
  try {
    const plan = () => planSource(source, wishesOf(config), never);
    const first = await plan();
    const ways = [...first.capture.ways.values()].map(([way]) => way);
    deepEqual(ways.map(({ kind }) => kind), ["wal", "sweep"]);
    const settings = first.capture.wal;
    ok(settings);
    const tables = ways.flatMap((way) => way.kind === "wal" ? [way.table] : []);
    await ensurePublication(admin, settings, tables, never);
    await createSlot(admin, settings.slot, never);
    const made = await plan();
    equal(made.digest, first.digest);
    deepEqual(
      made.problems.filter(({ code }) => code.startsWith("WAL_")).length,
      1,
      "said, though",
    );
    await db.sql`ALTER PUBLICATION driftless DROP TABLE invoice`;
    const left = await plan();
    equal(left.digest, first.digest, "it would be put back");
    await db.sql`ALTER PUBLICATION driftless ADD TABLE invoice`;
    await db.sql`ALTER TABLE invoice REPLICA IDENTITY NOTHING`;
    notEqual((await plan()).digest, first.digest);
  } finally {
    await db.sql.unsafe(`REASSIGN OWNED BY ${owner} TO postgres; DROP OWNED BY ${owner};
      DROP ROLE ${owner};`).simple();
  }
});

test(
  "`wal drop` prints what it would run, waits until nobody reads the slot, and leaves no trace",
  inFolder(async (folder) => {
    await using db = await createDatabase(DDL);
    const path = join(folder, "driftless.jsonc");
    const slot = `driftless_${db.name}`;
    await writeFile(path, JSON.stringify(configOf(db, { wal: false })));
    const never = new AbortController().signal;
    const drop = async (args: readonly string[], said: (text: string) => void = () => {}) => {
      let out = "";
      let err = "";
      const code = await dispatch(["wal", "drop", "--config", path, ...args], {
        env: {},
        stdout: { write: (text) => Promise.resolve(void (out += text)) },
        stderr: (text) => said(err += text),
        stdoutIsTty: false,
        isTty: false,
        columns: () => 80,
        stop: never,
        signal: never,
      });
      return { code, out, err };
    };
    const left = async () => {
      const slots = await db.sql`SELECT FROM pg_replication_slots WHERE slot_name = ${slot}`;
      return slots.length + (await db.sql`SELECT FROM pg_publication`).length;
    };
    const make = async () => {
      await db.sql`CREATE PUBLICATION driftless FOR TABLE invoice`;
      await db.sql`SELECT pg_create_logical_replication_slot(${slot}, 'pgoutput')`;
    };
    const admin = ["--apply", "--admin-url", db.url];

    const nothing = await drop(admin);
    equal(nothing.code, 0, nothing.err);
    match(
      nothing.err,
      /there was no slot "driftless_t_\w+"\nthere was no publication "driftless"\n/,
    );

    await make();
    const unused = await runCheck(folder, configOf(db));
    ok(unused.problems.some(({ code }) => code === "WAL_ROLE"), "it keeps WAL and can't be read");
    const printed = await drop([]);
    equal(printed.code, 0, printed.err);
    equal(await left(), 2, "nothing was run");
    await db.sql.unsafe(printed.out).simple();
    equal(await left(), 0);
    await db.sql.unsafe(printed.out).simple();

    await make();
    const session = await openWalSession({
      url: db.url,
      rowSecurity: "refuse",
      applicationName: "reader of the test",
      slot,
      publication: "driftless",
      from: 0n,
    }, never);
    let told = "";
    const dropping = drop(admin, (text) => told = text);
    await eventually("who reads it", () => Promise.resolve(told.includes("is read by pid")));
    match(told, /Slot "driftless_t_\w+" is read by pid \d+ \(reader of the test, .*\): stop that/);
    equal(await left(), 2);
    await session[Symbol.asyncDispose]();
    const dropped = await dropping;
    equal(dropped.code, 0, dropped.err);
    match(dropped.err, /dropped slot "driftless_t_\w+"\ndropped publication "driftless"\n$/);
    equal(await left(), 0);

    // Who may replicate, and doesn't own the publication.
    await make();
    await db.sql.unsafe(`ALTER ROLE ${db.readerRole} REPLICATION`);
    const half = await drop(["--apply"]);
    equal(half.code, 1);
    equal(half.out, 'DROP PUBLICATION IF EXISTS "driftless";\n');
    match(half.err, /dropped slot .*\npublication "driftless" stays: this role doesn't own it/);
    equal(await left(), 1);
    await db.sql.unsafe(half.out);

    // Another config of this database may read the same publication.
    await make();
    await db.sql`SELECT pg_create_logical_replication_slot(${`${slot}_2`}, 'pgoutput')`;
    const shared = await drop(admin);
    equal(shared.code, 1);
    match(shared.err, /publication "driftless" stays: other slots .* may be read by it \(.*_2\)/);
    // With the other slot and the publication of both.
    equal((await db.sql`SELECT FROM pg_publication`).length, 1);
    await db.sql`SELECT pg_drop_replication_slot(${`${slot}_2`})`;
    equal((await drop(admin)).code, 0);

    // Another's slot is left alone.
    await db.sql`SELECT pg_create_logical_replication_slot(${slot}, 'test_decoding')`;
    const foreign = await drop(admin);
    equal(foreign.code, 1);
    match(foreign.err, /Cannot drop slot .*: it is of the plugin test_decoding, .* isn't ours/);
    equal(await left(), 1);
    equal((await drop(["--nothing"])).code, 2);
    equal((await drop(["--admin-url", "nonsense", "--apply"])).code, 2);
  }),
);

/** A role that may replicate and publish, and owns one of the two tables. */
async function invoiceOwner(db: TestDatabase): Promise<string> {
  const owner = `${db.name}_owner`;
  await db.sql.unsafe(`
    CREATE ROLE ${owner} LOGIN REPLICATION;
    GRANT CREATE ON DATABASE ${db.name} TO ${owner};
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${owner};
    ALTER TABLE invoice OWNER TO ${owner};
  `).simple();
  return owner;
}
