import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { startEngine } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import { createDatabase } from "../support/postgres.ts";
import { type ScriptedSink, scriptedSink } from "../support/scripted_sink.ts";

const ITEM = "CREATE TABLE item (id bigint PRIMARY KEY, note text);";
const indexes = { items: { table: "item", fields: { note: "text" } } };

for (const mode of ["mark", "delete"] as const) {
  test(`a sink that was left out while rows of the outbox were claimed (${mode}) is filled anew`, async () => {
    await using db = await createDatabase(`${ITEM}
CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL,
 row_key text NOT NULL, done timestamptz);
CREATE INDEX ON outbox (id) WHERE done IS NULL;`);
    await db.sql.unsafe(`GRANT UPDATE (done), DELETE ON outbox TO ${db.readerRole}`);
    const columns = { table: "kind", key: "row_key", position: "id" };
    const outbox = {
      table: "outbox",
      tables: { item: "Item" },
      mode: "claim",
      ...(mode === "delete"
        ? { delete: true, columns }
        : { columns: { ...columns, processed: "done" } }),
    };
    const source = { capture: "outbox", sweeps: false, outbox };
    const [a, b] = [scriptedSink("a"), scriptedSink("b")];
    const changed = async (id: number, ...sinks: ScriptedSink[]) => {
      await db.sql`INSERT INTO item VALUES (${id}, 'x')`;
      await db.sql`INSERT INTO outbox (kind, row_key) VALUES ('Item', ${id})`;
      await eventually(
        `item ${id}`,
        () => Promise.resolve(sinks.every((sink) => sink.documents("items").has(String(id)))),
      );
    };
    const start = (...sinks: ScriptedSink[]) =>
      startEngine({ url: db.readerUrl, source, indexes, sinks });
    {
      await using run = start(a, b);
      await run.waitFor("caughtUp");
      await changed(1, a, b);
      await run.stop();
    }
    for (const id of [2, 3]) {
      await using run = start(a);
      await run.waitFor("caughtUp");
      await changed(id, a);
      await run.stop();
    }
    await using run = start(a, b);
    await run.waitFor("caughtUp");
    await changed(4, a, b);
    deepEqual([...a.documents("items").keys()].sort(), ["1", "2", "3", "4"]);
    deepEqual([...b.documents("items").keys()].sort(), ["1", "2", "3", "4"]);
    await run.stop();
    await using again = start(a, b);
    await again.waitFor("caughtUp");
    deepEqual(again.events.filter(({ type }) => type === "seedStarted"), [], "once is enough");
  });
}
