import { deepEqual, equal, match, ok } from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { runBinary, startBinary } from "../support/binary.ts";
import { eventually } from "../support/eventually.ts";
import { inFolder } from "../support/in_folder.ts";
import { addPeople, PEOPLE_DDL, PEOPLE_INDEX } from "../support/people.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { sqliteDocuments } from "../support/truth.ts";

let db: TestDatabase;
before(async () => {
  db = await createDatabase(PEOPLE_DDL);
  await addPeople(db.sql, 1, 50);
});
after(() => db[Symbol.asyncDispose]());

const configOf = () => ({
  source: {
    url: db.readerUrl,
    poll: { minInterval: "20ms", maxInterval: "200ms" },
    sweeps: false,
  },
  sinks: { local: { type: "sqlite", path: "local.db" } },
  indexes: { users: PEOPLE_INDEX },
});

test(
  "from polling to the changelog and back: nothing is seeded twice, deletes arrive, nothing is left",
  inFolder(async (cwd) => {
    const options = { cwd, config: configOf() };
    const ids = () => [...sqliteDocuments(join(cwd, "local.db"), "users").keys()].map(Number);
    const traces = async () => {
      const [row] = await db
        .sql`SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'driftless%')
        + (SELECT count(*) FROM pg_namespace WHERE nspname = 'driftless') AS n`;
      return Number(row?.["n"]);
    };
    equal((await runBinary(["sync"], options)).code, 0);

    const printed = await runBinary(["changelog", "install"], options);
    equal(printed.code, 0, printed.stderr);
    match(printed.stdout, /CREATE OR REPLACE TRIGGER/);
    equal(await traces(), 0, "printing changes nothing");
    const install = ["changelog", "install", "--apply", "--admin-url", db.url];
    const applied = await runBinary([...install, "--reader", db.readerRole], options);
    equal(applied.code, 0, applied.stderr);

    const check = await runBinary(["check"], options);
    equal(check.code, 0, check.stderr);
    match(check.stdout, /users\s.*L4/);

    // Changed while nobody looked, before the changelog is read for the first time.
    await db.sql`UPDATE users SET name = 'while away' WHERE id = 7`;
    {
      await using run = startBinary(["run"], options);
      await run.waitFor("caughtUp");
      ok(!run.events.some(({ event }) => event === "seedStarted"), "no index is seeded again");
      await db.sql`DELETE FROM orders WHERE user_id = 3`;
      await db.sql`DELETE FROM users WHERE id = 3`;
      const waited = await runBinary(["wait"], options);
      equal(waited.code, 0, waited.stderr);
      ok(!ids().includes(3), "what wait confirmed is there");
      equal(await run.stop(), 0);
    }
    const status = await runBinary(["changelog", "status"], options);
    equal(status.code, 0, status.stderr);
    match(status.stdout, /default/);

    // Disabled behind our back: an alarm, the next best way, and the index filled anew.
    await db.sql`ALTER TABLE users DISABLE TRIGGER driftless_delete`;
    await db.sql`DELETE FROM orders WHERE user_id = 4`;
    await db.sql`DELETE FROM users WHERE id = 4`;
    const alarmed = await runBinary(["sync"], options);
    equal(alarmed.code, 0, alarmed.stderr);
    ok(alarmed.events.some(({ code }) => code === "LEVEL_LOST"), alarmed.stderr);
    ok(alarmed.events.some(({ code }) => code === "CAPTURE_GAP"), alarmed.stderr);
    await eventually("the deleted user's document gone", async () => !ids().includes(4));

    const removed = await runBinary(
      ["changelog", "remove", "--apply", "--admin-url", db.url],
      options,
    );
    equal(removed.code, 0, removed.stderr);
    equal(await traces(), 0);
    equal((await runBinary(["sync"], options)).code, 0);
    const rows = await db.sql`SELECT id::int FROM users ORDER BY id`;
    deepEqual(ids().toSorted((a, b) => a - b), rows.map(({ id }) => id));
  }),
);
