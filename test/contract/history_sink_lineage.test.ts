import { ok } from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import postgres from "postgres";
import { addPeople, equalsTables, PEOPLE_DDL } from "../support/people.ts";
import { createDatabase } from "../support/postgres.ts";
import { type ScriptedSink, scriptedSink, scriptedStorage } from "../support/scripted_sink.ts";
import { startEngine } from "../support/engine_run.ts";

function documents(sink: ScriptedSink) {
  return [...sink.documents("users")].flatMap(([id, { body }]) =>
    body === null ? [] : [{ id, body }]
  );
}

/** Runs once to the end over these sinks. */
async function sync(url: string, sinks: readonly ScriptedSink[]): Promise<void> {
  await using run = startEngine({ url, sinks, options: { once: true } });
  const error = await run.outcome();
  if (error !== undefined) throw error;
}

test("a sink that sat out while another was followed gets what it missed", async () => {
  await using db = await createDatabase(PEOPLE_DDL);
  const [old, other] = [scriptedStorage(), scriptedStorage()];
  await addPeople(db.sql, 1, 5);
  // Several runs: several checkpoints.
  for (let i = 0; i < 5; i++) await sync(db.readerUrl, [scriptedSink("old", old)]);
  // The config names another sink for a while.
  await db.sql`UPDATE users SET name = 'changed' WHERE id = 1`;
  await pause(300);
  await sync(db.readerUrl, [scriptedSink("other", other)]);
  // And then both.
  const sinks = [scriptedSink("old", old), scriptedSink("other", other)] as const;
  ok((other.checkpoint?.sequence ?? 0) < (old.checkpoint?.sequence ?? 0), "the premise");
  await sync(db.readerUrl, sinks);
  await equalsTables(db.sql, documents(sinks[1]));
  await equalsTables(db.sql, documents(sinks[0]));
});

test("a sink whose checkpoint is another database's isn't taken for one that follows this one", async () => {
  await using a = await createDatabase(PEOPLE_DDL);
  const [old, other] = [scriptedStorage(), scriptedStorage()];
  await addPeople(a.sql, 1, 5);
  for (let i = 0; i < 5; i++) await sync(a.readerUrl, [scriptedSink("old", old)]);
  // A staging copy: the same catalog, another database.
  const admin = postgres(a.url.replace(a.name, "postgres"), { max: 1, onnotice: () => {} });
  const name = `${a.name}_copy`;
  await admin`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ${a.name}`;
  await admin.unsafe(`CREATE DATABASE ${name} TEMPLATE ${a.name}`);
  try {
    const copy = postgres(a.url.replace(a.name, name), { max: 1, onnotice: () => {} });
    const url = a.url.replace(a.name, name);
    await copy`UPDATE users SET name = 'changed in the copy' WHERE id = 1`;
    await pause(300);
    await sync(url, [scriptedSink("other", other)]);
    const sinks = [scriptedSink("old", old), scriptedSink("other", other)] as const;
    let refused: unknown;
    await sync(url, sinks).catch((error) => refused = error);
    if (refused === undefined) await equalsTables(copy, documents(sinks[0]));
    await copy.end({ timeout: 1 });
  } finally {
    await admin.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
    await admin.end({ timeout: 1 });
  }
});
