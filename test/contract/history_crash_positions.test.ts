import { ok } from "node:assert/strict";
import { test } from "node:test";
import process from "node:process";
import postgres from "postgres";
import type { ChangeCapture } from "../../src/core/ports.ts";
import { addPeople, equalsTables, PEOPLE_DDL } from "../support/people.ts";
import { startPostgres } from "../support/postgres.ts";
import { openPoller } from "../support/polling.ts";
import { type ScriptedSink, scriptedSink, scriptedStorage } from "../support/scripted_sink.ts";
import { startEngine } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";

// WAL that nobody waited for stays in the buffers, as it does for up to 0.6 s by default.
const SETTINGS = { wal_writer_delay: "10s", wal_buffers: "64MB", fsync: "on", autovacuum: "off" };

function documents(sink: ScriptedSink) {
  return [...sink.documents("users")].flatMap(([id, { body }]) =>
    body === null ? [] : [{ id, body }]
  );
}

/** A superuser could have more. */
const STAMPS = { wal: false };

test("a document built before Postgres crashed doesn't outrank what is committed after", async () => {
  const server = await startPostgres({ major: 18, settings: SETTINGS });
  const connect = () => postgres(server.url, { max: 4, onnotice: () => {} });
  let sql = connect();
  try {
    await sql.unsafe(`${PEOPLE_DDL} CREATE TABLE big (t text);`).simple();
    await addPeople(sql, 1, 3);
    const storage = scriptedStorage();
    let gate: (() => Promise<void>) | undefined;
    {
      const sink = scriptedSink("s", storage);
      const wrap = (capture: ChangeCapture): ChangeCapture => ({
        ...capture,
        async *live(signal) {
          for await (const delivery of capture.live(signal)) {
            await gate?.();
            gate = undefined;
            yield delivery;
          }
        },
      });
      await using run = startEngine({ url: server.url, source: STAMPS, sinks: [sink], wrap });
      await run.waitFor("caughtUp");
      const bulk = await sql.reserve();
      await bulk`BEGIN`;
      gate = async () => {
        await bulk`INSERT INTO big SELECT repeat(md5(g::text), 30) FROM generate_series(1, 8000) g`;
      };
      await sql`UPDATE users SET name = 'before the crash' WHERE id = 1`;
      await eventually(
        "the update",
        () => Promise.resolve(sink.documents("users").get("1")?.body?.includes("before the crash")),
      );
      await server.stop("SIGQUIT");
      await run.crash();
    }
    await sql.end({ timeout: 0 });
    await server.restart();
    sql = connect();
    const sink = scriptedSink("s", storage);
    await using run = startEngine({ url: server.url, source: STAMPS, sinks: [sink] });
    await run.waitFor("caughtUp");
    await sql`UPDATE users SET name = 'after the crash' WHERE id = 1`;
    await addPeople(sql, 7, 7);
    await eventually("user 7", () => Promise.resolve(sink.documents("users").has("7")));
    await run.stop();
    await equalsTables(sql, documents(sink));
  } finally {
    await sql.end({ timeout: 0 });
    await server.stop("SIGQUIT");
  }
});

test("a crash that loses the end of the WAL isn't taken for another server", async () => {
  const server = await startPostgres({ major: 18, settings: SETTINGS });
  const connect = () => postgres(server.url, { max: 1, onnotice: () => {} });
  let sql = connect();
  const tables = [{ name: "users", key: ["id"] }];
  try {
    await sql.unsafe(PEOPLE_DDL).simple();
    let cursor: string;
    {
      await using poller = await openPoller({ url: server.url, tables });
      await poller.polls();
      for (let i = 0; i < 5; i++) {
        // What an application that rolls back, or commits with synchronous_commit = off, does.
        await sql.unsafe("BEGIN; SELECT pg_current_xact_id(); ROLLBACK").simple();
      }
      await poller.polls();
      cursor = poller.capture.confirmed().cursor;
      // What the kernel does when memory runs out: the postmaster lives on and recovers.
      const [backend] = await sql`SELECT pg_backend_pid() AS pid`;
      process.kill(Number(backend?.["pid"]), "SIGKILL");
    }
    await sql.end({ timeout: 0 });
    sql = connect();
    await eventually("the server", async () => (await sql`SELECT 1`).length === 1);
    let refused: unknown;
    try {
      await using poller = await openPoller({ url: server.url, tables, cursor });
      await poller.polls();
    } catch (error) {
      refused = error;
    }
    ok(refused === undefined, String(refused));
  } finally {
    await sql.end({ timeout: 0 });
    await server.stop("SIGQUIT");
  }
});
