import { ok } from "node:assert/strict";
import { test } from "node:test";
import { addPeople, PEOPLE_DDL } from "../support/people.ts";
import { createDatabase } from "../support/postgres.ts";
import { scriptedSink } from "../support/scripted_sink.ts";
import { startEngine } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";

/** A join table as many are: no primary key, nothing NOT NULL. */
const DDL = `${PEOPLE_DDL}
CREATE TABLE tag (id bigint PRIMARY KEY, name text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON tag (updated_at, id);
CREATE TABLE user_tag (user_id bigint, tag_id bigint, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON user_tag (updated_at, user_id, tag_id);
CREATE INDEX ON user_tag (user_id);
CREATE INDEX ON user_tag (tag_id);
INSERT INTO tag VALUES (1, 'a');`;

const INDEX = {
  table: "users",
  fields: {
    id: "long",
    tags: {
      manyToMany: "tag",
      through: { table: "user_tag", leftKey: "user_id", rightKey: "tag_id" },
      fields: { name: "keyword" },
    },
  },
};

test("a page of a keyless junction that ends with a NULL doesn't end the run", async () => {
  await using db = await createDatabase(DDL);
  await addPeople(db.sql, 1, 3);
  const sink = scriptedSink("s");
  await using run = startEngine({ url: db.readerUrl, sinks: [sink], indexes: { users: INDEX } });
  await run.waitFor("caughtUp");
  // More than a page (500) of one stamp: the first ends among the NULLs.
  await db.sql.unsafe(
    `INSERT INTO user_tag SELECT CASE WHEN g <= 10 THEN 1 END, 1 FROM generate_series(1, 1200) g`,
  );
  await db.sql`INSERT INTO user_tag VALUES (2, 1)`;
  await eventually(
    "user 2's tag",
    () => {
      const failed = run.events.find((e) => e.type === "stopped");
      ok(failed === undefined, "the run ended");
      return Promise.resolve(sink.documents("users").get("2")?.body?.includes('"name":"a"'));
    },
  ).catch(async () => ok(false, `the run ended: ${await run.outcome()}`));
});
