import { deepEqual, equal, ok } from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import postgres from "postgres";
import { runBinary, type RunningBinary, startBinary } from "../support/binary.ts";
import { inFolder } from "../support/in_folder.ts";
import {
  addPeople,
  equalsTables,
  PEOPLE_DDL,
  PEOPLE_INDEX,
  sqliteDocuments,
} from "../support/people.ts";
import { createDatabase } from "../support/postgres.ts";
import { allowWal, slotAdvances, walTraces } from "../support/wal.ts";

const USERS = 700;
const CLIENTS = 4;
/** Transactions of one client. */
const EACH = 5_000;
const LARGE = 20_000;

/** One small transaction after the other, of one row each; orders come, move between users and go. */
const WRITERS = `
CREATE PROCEDURE write_much(client int) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1..${EACH} LOOP
    CASE i % 5
      WHEN 0 THEN UPDATE users SET name = client || '/' || i WHERE id = 1 + (i * 7 + client) % ${USERS};
      WHEN 1 THEN UPDATE orders SET total = total + 1 WHERE id = 3 + (i * 11 + client) % ${
  USERS * 3
};
      WHEN 2 THEN INSERT INTO orders VALUES (client * 100000 + i, 1 + i % ${USERS}, i, 'paid');
      WHEN 3 THEN UPDATE orders SET user_id = 1 + (i * 13) % ${USERS} WHERE id = client * 100000 + i - 1;
      ELSE DELETE FROM orders WHERE id = client * 100000 + i - 2 AND i % 2 = 0;
    END CASE;
    COMMIT;
  END LOOP;
END $$;`;

test(
  "20,000 small transactions of four clients and one of 20,000 rows, kill -9 in their midst: nothing is lost, and `wal drop` leaves no trace",
  inFolder(async (cwd) => {
    await using db = await createDatabase(`${PEOPLE_DDL}${WRITERS}`);
    await addPeople(db.sql, 1, USERS);
    await allowWal(db);
    const options = {
      cwd,
      config: {
        source: { url: db.readerUrl, capture: "wal", sweeps: false },
        sinks: { local: { type: "sqlite", path: "local.db" } },
        pipeline: { batch: { maxChanges: 200 } },
        indexes: { users: PEOPLE_INDEX },
      },
    };
    const start = () => startBinary(["run", "--log-level", "debug"], options);
    const check = () => equalsTables(db.sql, sqliteDocuments(join(cwd, "local.db"), "users"));
    const crash = async (run: RunningBinary, changes: number) => {
      let done = 0;
      await run.waitFor("batch", (line) => (done += Number(line["changes"])) >= changes);
      await run.kill();
    };
    const goesOn = async (run: RunningBinary) => {
      await run.waitFor("anchored");
      const { code, stderr } = await runBinary(["wait", "--timeout", "60s"], options);
      equal(code, 0, stderr);
      await check();
      ok(!run.events.some(({ event }) => event === "seedStarted"), "it is filled once");
    };
    {
      await using run = start();
      await run.waitFor("caughtUp");
      await check();
      const clients = Array.from(
        { length: CLIENTS },
        () => postgres(db.url, { max: 1, onnotice: () => {} }),
      );
      const writing = Promise.all(clients.map(async (sql, n) => {
        await sql.unsafe(`CALL write_much(${n + 1})`);
        await sql.end({ timeout: 1 });
      }));
      await Promise.all([
        writing,
        (async () => {
          await crash(run, 1_000);
          await using second = start();
          await crash(second, 5_000);
        })(),
      ]);
    }
    {
      await using third = start();
      await goesOn(third);

      await db.sql`INSERT INTO orders SELECT 1000000 + g, 1 + g % ${USERS}, 1, 'open'
        FROM generate_series(1, ${LARGE}) g`;
      await crash(third, 2_000);
      await using fourth = start();
      await crash(fourth, 2_000);
      await using fifth = start();
      await goesOn(fifth);
      await slotAdvances(db);
      equal(await fifth.stop(), 0);
    }
    const printed = await runBinary(["wal", "drop"], options);
    equal(printed.code, 0, printed.stderr);
    equal((await walTraces(db)).length, 2, "printing changes nothing");
    const dropped = await runBinary(["wal", "drop", "--apply"], options);
    equal(dropped.code, 0, dropped.stderr);
    deepEqual(await walTraces(db), []);
  }),
);
