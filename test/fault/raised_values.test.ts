import { deepEqual, equal, match, ok } from "node:assert/strict";
import { inspect } from "node:util";
import { describe, test } from "node:test";
import { FatalError } from "../../src/core/errors.ts";
import { type EngineRun, startEngine } from "../support/engine_run.ts";
import { addPeople, PEOPLE_DDL } from "../support/people.ts";
import { createDatabase } from "../support/postgres.ts";
import { type ScriptedSink, scriptedSink } from "../support/scripted_sink.ts";

const SECRET = "hunter2";
/** What applications' own functions do: they name the value they don't like. */
const DDL = `${PEOPLE_DDL}
CREATE FUNCTION checked(name text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
  IF name = '${SECRET}' THEN RAISE EXCEPTION 'bad name: %', name USING HINT = name; END IF;
  RETURN name; END $$;`;

/** Seeds three users, of whom the second one's name makes the function raise. */
async function syncWith(
  onRejected: "stop" | "skip",
): Promise<{ run: EngineRun; sink: ScriptedSink; error: unknown }> {
  await using db = await createDatabase(DDL);
  await addPeople(db.sql, 1, 3);
  await db.sql`UPDATE users SET name = ${SECRET} WHERE id = 2`;
  const sink = scriptedSink("s");
  await using run = startEngine({
    url: db.readerUrl,
    sinks: [sink],
    indexes: {
      people: {
        table: "users",
        fields: { name: { sql: "checked(name)", type: "keyword" } },
        onRejected,
      },
    },
    options: { once: true },
  });
  return { run, sink, error: await run.outcome() };
}

describe("a function of the database that raises with a row's value", () => {
  test("ends the run by naming the document and not the value", async () => {
    const { run, error } = await syncWith("stop");
    ok(error instanceof FatalError, inspect(error));
    equal(error.code, "DOCUMENT_REJECTED");
    match(error.message, /"2" of "people"/);
    ok(!`${error.message} ${error.hint}`.includes(SECRET), "the message holds the value");
    ok(!JSON.stringify(run.events).includes(SECRET), "an event holds the value");
  });

  test("is passed over where rejected documents are skipped, and its value is never said", async () => {
    const { run, sink, error } = await syncWith("skip");
    equal(error, undefined);
    deepEqual([...sink.documents("people").keys()].sort(), ["1", "3"]);
    const rejected = run.events.filter(({ type }) => type === "rejected");
    ok(rejected.length > 0, "nothing was said of it");
    ok(!JSON.stringify(run.events).includes(SECRET), "an event holds the value");
  });
});
