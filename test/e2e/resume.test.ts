import { deepEqual, equal, ok } from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { runBinary, startBinary } from "../support/binary.ts";
import { eventually } from "../support/eventually.ts";
import { inFolder } from "../support/in_folder.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import {
  addPeople,
  equalsTables,
  openSearchDocuments,
  PEOPLE_DDL,
  PEOPLE_INDEX,
  sqliteDocuments,
  startWriter,
} from "../support/people.ts";
import { createDatabase } from "../support/postgres.ts";
import { startProxy } from "../support/proxy.ts";

const USERS = Number(process.env["DRIFTLESS_TEST_SEED_USERS"] ?? 300_000);

function config(source: string, node: string, indexPrefix: string) {
  return {
    source: { url: source, poll: { minInterval: "20ms", maxInterval: "200ms" } },
    sinks: { search: { type: "opensearch", nodes: [node], indexPrefix } },
    indexes: { users: PEOPLE_INDEX },
  };
}

test(
  `a seed of ${USERS} documents that is killed goes on where it was, and ends as SQL says`,
  inFolder(async (cwd) => {
    await using db = await createDatabase(PEOPLE_DDL);
    await addPeople(db.sql, 1, USERS);
    const { url } = await openSearchServer();
    const prefix = uniquePrefix();
    const options = { config: config(db.readerUrl, url, prefix), cwd };
    let done = 0;
    {
      await using first = startBinary(["run", "--log-level", "debug"], options);
      const { rows } = await first.waitFor("seedStarted");
      equal(rows, 0);
      await first.waitFor("batch", ({ changes }) => {
        done += Number(changes);
        return done > USERS / 4;
      }, 120_000);
      await first.kill();
      ok(!first.events.some(({ event }) => event === "seedFinished"));
    }
    // Rows that were read already change while nobody looks.
    await db.sql`UPDATE users SET name = 'Renamed' WHERE id <= 100`;
    await db.sql`UPDATE orders SET status = 'paid' WHERE user_id BETWEEN 200 AND 300`;

    const second = await runBinary(["sync"], { ...options, timeoutMs: 180_000 });
    equal(second.code, 0, second.stderr);
    const started = second.events.find(({ event }) => event === "seedStarted");
    const resumed = Number(started?.["rows"]);
    // The latest progress may not have been stored yet: a few chunks at most.
    ok(resumed > 0 && resumed >= done - 50_000, `resumed at ${resumed}, killed after ${done}`);
    const finished = second.events.find(({ event }) => event === "seedFinished");
    equal(finished?.["rows"], USERS);
    await equalsTables(db.sql, openSearchDocuments(url, `${prefix}users`));

    const third = await runBinary(["sync"], options);
    equal(third.code, 0, third.stderr);
    ok(!third.events.some(({ event }) => event === "seedStarted"), "it is seeded");
  }),
);

for (const what of ["request", "answer"] as const) {
  test(
    `a row read and not acknowledged when the process is killed arrives after a restart (${what} held)`,
    inFolder(async (cwd) => {
      await using db = await createDatabase(PEOPLE_DDL);
      await addPeople(db.sql, 1, 10);
      const { url } = await openSearchServer();
      await using proxy = await startProxy(url);
      const prefix = uniquePrefix();
      const options = { config: config(db.readerUrl, proxy.url, prefix), cwd };
      const nameOf = async (id: number) => {
        const reply = await fetch(`${url}/${prefix}users/_doc/${id}`);
        const { _source } = await reply.json() as { _source?: { name?: string } };
        return _source?.name;
      };
      {
        await using run = startBinary(["run"], options);
        await run.waitFor("caughtUp");
        const { reached } = proxy.hold("/_bulk", what);
        await db.sql`UPDATE users SET name = 'Ada' WHERE id = 1`;
        await reached;
        // As long as nothing is acknowledged the position may not pass the row, whatever else happens.
        await db.sql`UPDATE users SET name = 'Bob' WHERE id = 2`;
        await eventually("a later poll's time", async () => {
          const [row] = await db
            .sql`SELECT now() - updated_at > '3 s' AS past FROM users WHERE id = 1`;
          return row?.["past"] === true;
        }, { everyMs: 200 });
        await run.kill();
        if (what === "request") equal(await nameOf(1), "User 1");
      }
      proxy.pass();
      await using again = startBinary(["run"], options);
      await eventually(
        "both rows",
        async () => await nameOf(1) === "Ada" && await nameOf(2) === "Bob",
      );
      equal(await again.stop(), 0);
      await equalsTables(db.sql, openSearchDocuments(url, `${prefix}users`));
      deepEqual(again.events.filter(({ event }) => event === "seedStarted"), []);
    }),
  );
}

test(
  "killed again and again at any moment, while rows change, it loses nothing in any sink",
  inFolder(async (cwd) => {
    const users = 2_000;
    await using db = await createDatabase(PEOPLE_DDL);
    await addPeople(db.sql, 1, users);
    const { url } = await openSearchServer();
    const prefix = uniquePrefix();
    const base = config(db.readerUrl, url, prefix);
    const options = {
      config: {
        ...base,
        sinks: { ...base.sinks, local: { type: "sqlite", path: "local.db" } },
        pipeline: { seed: { chunk: 100 }, batch: { maxChanges: 20 } },
      },
      cwd,
    };
    {
      await using writer = startWriter(db.sql, users);
      // The first kills fall into the seed, the last into following.
      for (let round = 0; round < 6; round++) {
        await using run = startBinary(["run"], options);
        await run.waitFor(round < 3 ? "seedStarted" : "caughtUp", undefined, 120_000);
        await writer.wrote(Math.floor(Math.random() * 200));
        await run.kill();
      }
    }
    const last = await runBinary(["sync"], options);
    equal(last.code, 0, last.stderr);
    await equalsTables(db.sql, openSearchDocuments(url, `${prefix}users`));
    await equalsTables(db.sql, sqliteDocuments(join(cwd, "local.db"), "users"));
  }),
);
