import { ok } from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { addPeople, PEOPLE_DDL } from "../support/people.ts";
import { createDatabase } from "../support/postgres.ts";
import { scriptedSink } from "../support/scripted_sink.ts";
import { startEngine } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";

test("with skipBackfill a transaction that was open at the start is followed when it commits", async () => {
  await using db = await createDatabase(PEOPLE_DDL);
  const sink = scriptedSink("s");
  const late = await db.sql.reserve();
  await late`BEGIN`;
  await late`INSERT INTO users (id, email) VALUES (1, 'late@x.io')`;
  await pause(200);
  await using run = startEngine({
    url: db.readerUrl,
    sinks: [sink],
    options: { skipBackfill: true },
  });
  await run.waitFor("caughtUp");
  await addPeople(db.sql, 2, 2);
  await eventually("user 2", () => Promise.resolve(sink.documents("users").has("2")));
  await late`COMMIT`;
  late.release();
  await addPeople(db.sql, 3, 3);
  await eventually("user 3", () => Promise.resolve(sink.documents("users").has("3")));
  await addPeople(db.sql, 4, 4);
  await eventually("user 4", () => Promise.resolve(sink.documents("users").has("4")));
  ok(sink.documents("users").has("1"), "committed while followed, never delivered");
});
