import { deepEqual, doesNotMatch, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import { installChangelog } from "../support/changelog.ts";
import { type Checked, runCheck } from "../support/check_run.ts";
import { inFolder } from "../support/in_folder.ts";
import { at, createDatabase, startPostgres, type TestDatabase } from "../support/postgres.ts";
import { startStandby } from "../support/standby.ts";

/** One table of each kind. */
const DDL = `
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
CREATE TABLE stamped (id bigint PRIMARY KEY, v text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON stamped (updated_at, id);
CREATE TRIGGER touch BEFORE UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE lines (id bigint PRIMARY KEY, stamped_id bigint, v text,
  updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON lines (stamped_id);
CREATE INDEX ON lines (updated_at, id);
CREATE TRIGGER touch BEFORE UPDATE ON lines FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE unindexed (id bigint PRIMARY KEY, v text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE TRIGGER touch BEFORE UPDATE ON unindexed FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE bare (id bigint PRIMARY KEY, v text);
CREATE TABLE naked (a int, b text, v text, PRIMARY KEY (a, b));
CREATE TABLE untouched (id bigint PRIMARY KEY, v text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON untouched (updated_at, id);
CREATE TABLE paused (id bigint PRIMARY KEY, v text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON paused (updated_at, id);
CREATE TRIGGER touch BEFORE UPDATE ON paused FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE paused DISABLE TRIGGER touch;
CREATE TABLE twice (id bigint PRIMARY KEY, v text, updated_at timestamptz, "changedAt" timestamptz);
CREATE TABLE logged (id bigint PRIMARY KEY, v text);
CREATE TABLE broken (id bigint PRIMARY KEY, v text);
CREATE TABLE grown (id bigint PRIMARY KEY, v text, w text);
CREATE TABLE hinted (id bigint PRIMARY KEY, v text);
CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text, k text,
  tx xid8 NOT NULL DEFAULT pg_current_xact_id());
CREATE TABLE parted (id bigint, region text, v text, updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
CREATE INDEX ON parted (updated_at, id, region);
CREATE TRIGGER touch BEFORE UPDATE ON parted FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE fed (id bigint PRIMARY KEY, v text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON fed (updated_at, id);
CREATE TRIGGER touch BEFORE UPDATE ON fed FOR EACH ROW EXECUTE FUNCTION touch();
CREATE VIEW seen AS SELECT id, v FROM bare;
CREATE TABLE secret (id bigint PRIMARY KEY, v text, updated_at timestamptz NOT NULL DEFAULT now());
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON secret USING (v IS NOT NULL);`;

const V = { fields: { v: "keyword" } };
const PLAIN = [
  "unindexed",
  "bare",
  "naked",
  "untouched",
  "paused",
  "twice",
  "logged",
  "broken",
  "grown",
  "hinted",
  "parted",
  "fed",
  "secret",
];
const INDEXES = {
  stamped: {
    table: "stamped",
    fields: { v: "keyword", lines: { hasMany: "lines", foreignKey: "stamped_id", ...V } },
  },
  ...Object.fromEntries(PLAIN.map((table) => [table, { table, ...V }])),
  seen: { table: "seen", key: ["id"], ...V },
};

function configOf(db: TestDatabase, source: Readonly<Record<string, unknown>> = {}) {
  const outbox = {
    table: "outbox",
    tables: { hinted: "Hinted" },
    columns: { table: "what", key: "k", position: "id", xid: "tx" },
  };
  return {
    source: { url: db.readerUrl, outbox, ...source },
    sinks: { out: { type: "stdout" } },
    indexes: INDEXES,
  };
}

async function oneOfEachKind(major: 18 | 15 = 18): Promise<TestDatabase> {
  const db = await createDatabase(DDL, major);
  await installChangelog(db, [{ table: "logged" }, { table: "broken" }]);
  await installChangelog(db, [{ table: "grown", columns: ["w"] }]);
  await db.sql.unsafe("ALTER TABLE broken DISABLE TRIGGER driftless_update");
  return db;
}

/** `L3 updated_at, deletes within 15 min` of each table. */
function shortOf({ tables }: Checked, table: string): string {
  const level = tables.get(`public.${table}`);
  if (level === undefined) return "none";
  const { capture, found } = level;
  return `${level.level} ${capture}: ${found.changes}; deletes ${found.deletes}`;
}

function problemsOf({ problems }: Checked, table: string): readonly string[] {
  return problems.filter(({ path }) =>
    path === `source.tables.public.${table}` || path === `indexes.${table}`
  ).map(({ severity, code }) => `${severity} ${code}`);
}

for (const major of [18, 15] as const) {
  test(
    `each kind of table has the level, the claim and the reason that are its own (${major})`,
    inFolder(async (folder) => {
      await using db = await oneOfEachKind(major);
      // No trigger of it fires for what the subscription writes.
      await installChangelog(db, [{ table: "fed" }]);
      const name = `${db.name}_subscription`;
      await db.sql.unsafe(`CREATE SUBSCRIPTION ${name} CONNECTION 'dbname=nowhere' PUBLICATION p
      WITH (connect = false, slot_name = NONE)`);
      try {
        await db.sql.begin(async (own) => {
          await own`SET LOCAL allow_system_table_mods = on`;
          await own`INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate)
          SELECT oid, 'fed'::regclass, 'r' FROM pg_subscription WHERE subname = ${name}`;
        });
        const checked = await runCheck(folder, configOf(db));
        const stamped = "at once; unstamped within 1 h";
        const expected: Readonly<Record<string, readonly [string, ...string[]]>> = {
          stamped: [`L3 updated_at: ${stamped}; deletes within 15 min`],
          lines: [`L3 updated_at: ${stamped}; deletes not seen`],
          untouched: [
            `L3 updated_at: ${stamped}; deletes within 15 min`,
            "warning STAMP_NOT_TOUCHED",
          ],
          paused: [
            `L3 updated_at: ${stamped}; deletes within 15 min`,
            "warning STAMP_TRIGGER_DISABLED",
          ],
          parted: [`L3 updated_at: ${stamped}; deletes within 15 min`],
          unindexed: [
            "L3 sweep: within 1 min; deletes within 15 min",
            "warning STAMP_INDEX_MISSING",
          ],
          bare: ["L3 sweep: within 1 min; deletes within 15 min", "warning STAMP_MISSING"],
          naked: ["L3 sweep: within 1 min; deletes within 15 min", "warning STAMP_MISSING"],
          twice: ["L3 sweep: within 1 min; deletes within 15 min", "warning STAMP_AMBIGUOUS"],
          logged: ["L4 changelog: at once; deletes at once"],
          broken: [
            "L3 sweep: within 1 min; deletes within 15 min",
            "warning CHANGELOG_BROKEN",
          ],
          grown: [
            "L3 sweep: within 1 min; deletes within 15 min",
            "warning CHANGELOG_LACKS",
          ],
          hinted: ["L4 outbox: when hinted at; deletes when hinted at"],
          fed: ["L1 updated_at: at once; late ones within 1 h; deletes within 15 min"],
          seen: ["none", "error NOT_A_TABLE"],
          secret: ["none", "error ROW_SECURITY"],
        };
        for (const [table, [level, ...problems]] of Object.entries(expected)) {
          equal(shortOf(checked, table), level, table);
          deepEqual(problemsOf(checked, table), problems, table);
        }
        const left = Object.keys(INDEXES).filter((each) => each !== "seen" && each !== "secret");
        deepEqual(checked.indexes, left, "an index whose table can't be followed is left out");
        equal(checked.code, 2);

        const about = (table: string) => {
          const level = checked.tables.get(`public.${table}`);
          return `${level?.claim} Because: ${level?.why}`;
        };
        match(about("stamped"), /no committed insert or update is missed.*less 2 s.*within 15 min/);
        doesNotMatch(about("stamped"), /parent/);
        match(about("lines"), /moves to another parent is looked for in the documents themselves/);
        match(
          about("lines"),
          /was deleted keep showing it until .*as deleted instead, touch the parent/,
        );
        match(about("stamped"), /Because: no changelog is installed for it$/);
        match(about("bare"), /found within 1 min: the whole table is read.*it has no stamp column/);
        match(about("logged"), /every committed insert, update, delete and truncate/);
        match(about("broken"), /"driftless_update" on public\.broken is disabled/);
        match(about("grown"), /it doesn't look at "v"/);
        match(
          about("hinted"),
          /every committed change that the application wrote a row of the outbox for/,
        );
        match(about("fed"), /reads the last 30 s again.*a subscription feeds it/);
        deepEqual(checked.tables.get("public.fed")?.sql, [], "no trigger of ours would help");
      } finally {
        await db.sql.unsafe(`DROP SUBSCRIPTION ${name}`);
      }
    }),
  );
}

test(
  "what check prints for a person says each thing once",
  inFolder(async (folder) => {
    await using db = await oneOfEachKind();
    const [text = ""] = (await runCheck(folder, configOf(db))).text.split("\nproblems\n");
    const once = (what: RegExp) => {
      const found = [...text.matchAll(new RegExp(what, "gm"))].length;
      equal(found, 1, `${what} ${found} times in\n${text}`);
    };
    const rows = (table: string, line: RegExp) => {
      const found = text.split("\n").find((each) => each.startsWith(`  public.${table} `));
      match(found ?? "", line);
    };
    rows("stamped", /L3 +updated_at +at once; unstamped within 1 h +within 15 min$/);
    rows("lines", /L3 +updated_at +at once; unstamped within 1 h +not seen$/);
    rows("bare", /L3 +sweeps alone +within 1 min +within 15 min$/);
    rows("logged", /L4 +changelog +at once +at once$/);
    rows("hinted", /L4 +outbox +when hinted at +when hinted at$/);
    once(/Why this way for public\.bare, public\.naked:/);
    once(/L3 = no insert or update is missed; sweeps find late what nothing else shows/);
    once(/L4 = every insert, update and delete is found as it happens/);
    once(/at once = by the next poll, which comes within 5 s/);
    once(/found within 1 min: the/);
    once(/keys: every 15 min, the keys of each index are compared/);
    once(/rows: every 1 h, tables that are followed by a stamp/);
    once(/nobody has read the changelog in schema "driftless" yet/);
    once(/^SQL that would help$/);
    once(/CREATE OR REPLACE FUNCTION driftless_touch\(\)/);
    once(/driftless changelog install --apply/);
    once(/ALTER TABLE public\.bare ADD COLUMN updated_at/);
    const [, changes = ""] = text.split("how changes are found");
    const [lines = ""] = changes.split('index "');
    for (const line of lines.split("\n")) ok([...line].length <= 100, line);
  }),
);

test(
  "the SQL that check prints runs as it stands, and lifts the tables that it is for",
  inFolder(async (folder) => {
    await using db = await oneOfEachKind();
    const before = await runCheck(folder, configOf(db));
    const statements = before.sql.filter((each) => !each.startsWith("--"));
    ok(statements.length >= 6, statements.join("\n"));
    for (const each of statements) await db.sql.unsafe(each);
    const after = await runCheck(folder, configOf(db));
    for (const table of ["unindexed", "bare", "naked"]) {
      match(shortOf(before, table), /^L3 sweep: within 1 min/);
      match(shortOf(after, table), /^L3 updated_at: at once/);
      deepEqual(problemsOf(after, table), [], table);
    }
    deepEqual(problemsOf(after, "paused"), []);
    deepEqual(after.sql.filter((each) => !each.startsWith("--")), []);

    // The command that it names, for those it names it for.
    ok(after.sql.some((each) => each.includes("driftless changelog install")));
    await installChangelog(db, ["bare", "broken", "grown"].map((table) => ({ table })));
    await installChangelog(db, [{ table: "lines", joins: ["stamped_id"] }]);
    const lifted = await runCheck(folder, configOf(db));
    for (const table of ["bare", "broken", "grown", "lines"]) {
      equal(shortOf(lifted, table), "L4 changelog: at once; deletes at once", table);
      deepEqual(problemsOf(lifted, table), [], table);
    }
  }),
);

test(
  "a capture that is asked for by name is that one, or an error that says why not",
  inFolder(async (folder) => {
    await using db = await oneOfEachKind();
    const asked = {
      stamped: "sweep",
      lines: "updated_at",
      bare: "updated_at",
      unindexed: "updated_at",
      naked: "changelog",
      logged: "changelog",
      broken: "changelog",
      hinted: "outbox",
      parted: "outbox",
      twice: "sweep",
    };
    const tables = Object.fromEntries(
      Object.entries(asked).map(([table, capture]) => [table, { capture }]),
    );
    const checked = await runCheck(folder, configOf(db, { tables }));
    match(shortOf(checked, "stamped"), /^L3 sweep/);
    match(shortOf(checked, "lines"), /^L3 updated_at/);
    match(shortOf(checked, "logged"), /^L4 changelog/);
    match(shortOf(checked, "hinted"), /^L4 outbox/);
    match(shortOf(checked, "twice"), /^L3 sweep/);
    deepEqual(problemsOf(checked, "twice"), []);
    match(checked.tables.get("public.lines")?.why ?? "", /"capture": "updated_at" asks for it/);
    deepEqual(problemsOf(checked, "bare"), ["error STAMP_MISSING"]);
    deepEqual(problemsOf(checked, "unindexed"), ["error STAMP_INDEX_MISSING"]);
    deepEqual(problemsOf(checked, "naked"), ["error CHANGELOG_MISSING"]);
    deepEqual(problemsOf(checked, "broken"), ["error CHANGELOG_BROKEN"]);
    deepEqual(problemsOf(checked, "parted"), ["error OUTBOX_MISSING"]);
    for (const table of ["bare", "unindexed", "naked", "broken", "parted"]) {
      equal(shortOf(checked, table), "none");
      ok(!checked.indexes.includes(table), table);
    }
  }),
);

test(
  "without sweeps the claims shrink, and a table that has nothing else is an error",
  inFolder(async (folder) => {
    await using db = await oneOfEachKind();
    const off = await runCheck(folder, configOf(db, { sweeps: false }));
    equal(shortOf(off, "stamped"), "L2 updated_at: at once; deletes not seen");
    match(off.tables.get("public.stamped")?.claim ?? "", /deleted row is not seen/);
    match(off.tables.get("public.stamped")?.claim ?? "", /stamp was not set, or is NULL, is not/);
    deepEqual(problemsOf(off, "bare"), ["error STAMP_MISSING"]);
    ok(off.problems.some(({ message }) => message.includes("source.sweeps.rows is off")));

    const rows = await runCheck(folder, configOf(db, { sweeps: { keys: false } }));
    equal(shortOf(rows, "bare"), "L2 sweep: within 1 min; deletes not seen");
    const keys = await runCheck(folder, configOf(db, { sweeps: { rows: 0, keys: "2h" } }));
    equal(shortOf(keys, "stamped"), "L2 updated_at: at once; deletes within 2 h");

    const hidden = await runCheck(folder, configOf(db, { rowSecurity: "allow" }));
    const unstamped = "at once; unstamped within 1 h";
    equal(shortOf(hidden, "stamped"), `L2 updated_at: ${unstamped}; deletes not seen`);
    match(hidden.text, /^ +keys: off: /m);
  }),
);

test(
  "a consumer of the changelog that wasn't seen for a day is an alarm",
  inFolder(async (folder) => {
    await using db = await oneOfEachKind();
    await db.sql`INSERT INTO driftless.consumers (name, snapshot, seen_at) VALUES
      ('here', pg_current_snapshot()::text, now() - interval '10 s'),
      ('gone', pg_current_snapshot()::text, now() - interval '5 days')`;
    const { text, problems } = await runCheck(folder, configOf(db));
    match(text, /consumer "here": last seen [1-9]\d s ago/);
    match(text, /consumer "gone": last seen 5 days ago|consumer "gone": last seen 6 days ago/);
    const alarms = problems.filter(({ code }) => code === "CHANGELOG_CONSUMER_AWAY");
    equal(alarms.length, 1);
    match(alarms[0]?.hint ?? "", /driftless changelog forget "gone"/);
  }),
);

test(
  "a role that may read single columns alone is told what sweeps and stamps need",
  inFolder(async (folder) => {
    await using db = await createDatabase(DDL);
    await db.sql.unsafe(`REVOKE SELECT ON stamped, bare FROM "${db.readerRole}";
      GRANT SELECT (id, v, updated_at) ON stamped TO "${db.readerRole}";
      GRANT SELECT (id, v) ON bare TO "${db.readerRole}";`).simple();
    const checked = await runCheck(folder, configOf(db));
    deepEqual(problemsOf(checked, "stamped"), ["error GRANT_PARTIAL"]);
    deepEqual(problemsOf(checked, "bare"), ["error GRANT_PARTIAL"]);
    const grants = checked.sql.filter((each) => each.startsWith("GRANT"));
    equal(grants.length, 2, checked.sql.join("\n"));
    for (const each of grants) await db.sql.unsafe(each);
    const granted = await runCheck(folder, configOf(db));
    match(shortOf(granted, "stamped"), /^L3 updated_at/);
    match(shortOf(granted, "bare"), /^L3 sweep/);
  }),
);

test(
  "on a standby stamps are read with a lag, the changelog as ever, and check says so",
  inFolder(async (folder) => {
    const primary = await startPostgres({ major: 18 });
    const db = await createDatabase(DDL, primary);
    await installChangelog(db, [{ table: "logged" }]);
    const standby = await startStandby(primary);
    try {
      await standby.caughtUp();
      const url = at(standby.url, { database: db.name, user: db.readerRole });
      const checked = await runCheck(folder, configOf(db, { url }));
      const standing = checked.problems.filter(({ code }) => code === "STANDBY");
      deepEqual(standing.map(({ severity }) => severity), ["warning"]);
      equal(
        shortOf(checked, "stamped"),
        "L1 updated_at: at once; late ones within 1 h; deletes within 15 min",
      );
      match(checked.tables.get("public.stamped")?.why ?? "", /this is a standby/);
      equal(shortOf(checked, "logged"), "L4 changelog: at once; deletes at once");
      match(shortOf(checked, "bare"), /^L3 sweep/);
      match(shortOf(checked, "hinted"), /^L4 outbox/);
      match(checked.text, /^ {2}L1 = a row that commits long after it was stamped may be missed/m);

      const tables = { stamped: { capture: "updated_at" } };
      const asked = await runCheck(folder, configOf(db, { url, tables }));
      deepEqual(problemsOf(asked, "stamped"), ["error STANDBY"]);
      const swept = await runCheck(folder, configOf(db, { url, poll: { lag: false } }));
      match(shortOf(swept, "stamped"), /^L3 sweep/);
    } finally {
      await db[Symbol.asyncDispose]();
      await standby.stop();
      await primary.stop();
    }
  }),
);
