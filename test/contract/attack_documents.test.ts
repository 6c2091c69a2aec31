import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { refText } from "../../src/postgres/documents/refs.ts";
import { openSearchSink } from "../../src/opensearch/sink.ts";
import { startEngine } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import { createDatabase } from "../support/postgres.ts";
import { scriptedSink } from "../support/scripted_sink.ts";
import { index, openFixture, ref, relation, scalar, SIGNAL } from "./documents_fixture.ts";
import { removeAll, sinkOptions } from "./opensearch_observer.ts";
import { startProxy } from "./opensearch_proxy.ts";
import { sampleDocument, samplePlan, V } from "./sink_samples.ts";

test("keys that end in what stands between two refs are refs like any other, each once", async () => {
  const keys = ['a",', 'b","c', '",', "z\\", 'q"', "d"];
  await using fixture = await openFixture(`
    CREATE TABLE users (id int PRIMARY KEY);
    CREATE TABLE tags (id text PRIMARY KEY, code text);
    CREATE TABLE user_tags (id int PRIMARY KEY, user_id int, code text);
    INSERT INTO users VALUES (1);
    INSERT INTO user_tags VALUES (100, 1, 'c'), (101, 1, 'c');`);
  await fixture.db.sql`INSERT INTO tags SELECT k, 'c' FROM unnest(${keys}::text[]) k`;
  // Two rows of the junction lead to each tag, so each tag's refs come more than once.
  const through = { table: ref("user_tags"), leftKey: ["user_id"], rightKey: ["code"] };
  const open = await fixture.open(
    [index("users", "users", [
      relation("manyToMany", "tags", "tags", [], [scalar("id")], { through, references: ["code"] }),
    ])],
    undefined,
    {},
  );
  const { documents } = await open.build("1");
  const refs = JSON.parse(documents[0]?.sync?.refs ?? "null") as string[];
  deepEqual(
    [...refs].sort(),
    [
      ...keys.map((key) => refText(ref("tags"), [key])),
      ...["100", "101"].map((key) => refText(ref("user_tags"), [key])),
    ].sort(),
  );
});

test("a junction whose key is made anew has its index filled anew, and a row that moves then is found", async () => {
  const table = (name: string, columns: string) =>
    `CREATE TABLE ${name} (id int PRIMARY KEY, ${columns}updated_at timestamptz NOT NULL DEFAULT now());
     CREATE INDEX ON ${name} (updated_at, id);`;
  await using db = await createDatabase(`
    ${table("users", "")} ${table("roles", "name text, ")}
    ${table("user_roles", "user_id int, role_id int, ")}
    INSERT INTO users VALUES (1), (2);
    INSERT INTO roles VALUES (1, 'r');
    INSERT INTO user_roles VALUES (100, 1, 1), (101, 2, 1);`);
  const sink = scriptedSink("s");
  await using run = startEngine({
    url: db.readerUrl,
    sinks: [sink],
    supervised: true,
    source: { sweeps: false },
    indexes: {
      users: {
        table: "users",
        fields: {
          roles: {
            manyToMany: "roles",
            through: { table: "user_roles", leftKey: "user_id", rightKey: "role_id" },
            fields: { name: "keyword" },
          },
        },
      },
    },
  });
  await run.waitFor("caughtUp");
  const before = refsOf();
  ok(before?.includes("100"), before);
  // No row is stamped by that: nothing but the plan tells that the refs are of another column.
  await db.sql.unsafe(`ALTER TABLE user_roles DROP COLUMN id,
    ADD COLUMN id uuid PRIMARY KEY DEFAULT gen_random_uuid();
    CREATE INDEX ON user_roles (updated_at, id);`);
  const again = () =>
    Promise.resolve(run.events.filter(({ type }) => type === "seedFinished").length > 1);
  await eventually("a filling by the new key", again);
  notEqual(refsOf(), before);
  await db.sql`UPDATE user_roles SET user_id = 2, updated_at = clock_timestamp() WHERE user_id = 1`;
  await eventually(
    "user 1 without the role",
    () => Promise.resolve(sink.documents("users").get("1")?.body?.includes('"roles":[]')),
  );

  function refsOf(): string | undefined {
    return sink.documents("users").get("1")?.sync?.refs;
  }
});

// On two nodes a search right after the refresh missed 27 of 100 documents, and with this none.
test("where replicas copy segments, what has to be seen is asked of the primaries", async () => {
  const { url } = await openSearchServer();
  const prefix = uniquePrefix();
  await using proxy = await startProxy(url);
  await using sink = openSearchSink(sinkOptions(proxy.url, prefix));
  try {
    const plan = samplePlan("copied");
    await sink.ensure(
      { ...plan, settings: { ...plan.settings, "index.replication.type": "SEGMENT" } },
      "s1",
      SIGNAL,
    );
    await sink.ensure(samplePlan("written"), "s1", SIGNAL);
    for (const name of ["copied", "written"]) {
      const sync = { bucket: 1, key: 1, refs: '["abcd:1"]' };
      await sink.write([{ ...sampleDocument(name, "1", V, "one"), sync }], "live", SIGNAL);
      deepEqual(await sink.refs?.holders(name, ["abcd:1"], SIGNAL), ["1"]);
      equal((await sink.keys?.keySums(name, SIGNAL))?.get(1)?.count, 1);
      for await (const ids of sink.keys?.idsIn(name, [1], SIGNAL) ?? []) deepEqual(ids, ["1"]);
      const searches = proxy.seen.filter((each) => each.includes(`${prefix}${name}_`))
        .filter((each) => each.includes("/_search?"));
      equal(searches.length, 3, searches.join("\n"));
      const asked = searches.filter((each) => each.includes("preference=_primary")).length;
      equal(asked, name === "copied" ? 3 : 0, searches.join("\n"));
    }
  } finally {
    await removeAll(url, prefix);
  }
});

test("an index that allows few hits and few terms is asked in more and smaller requests", async () => {
  const { url } = await openSearchServer();
  const prefix = uniquePrefix();
  await using sink = openSearchSink(sinkOptions(url, prefix));
  try {
    const settings = { "index.max_result_window": 10, "index.max_terms_count": 20 };
    await sink.ensure({ ...samplePlan("things"), settings }, "s1", SIGNAL);
    const names = Array.from({ length: 50 }, (_, at) => String(at)).sort();
    const written = names.map((name) => {
      const sync = { bucket: 1, key: 1, refs: `["abcd:${name}"]` };
      return { ...sampleDocument("things", name, V, "one"), sync };
    });
    await sink.write(written, "live", SIGNAL);
    const refs = names.map((name) => `abcd:${name}`);
    deepEqual([...await sink.refs?.holders("things", refs, SIGNAL) ?? []].sort(), names);
    const listed: string[] = [];
    for await (const ids of sink.keys?.idsIn("things", [1], SIGNAL) ?? []) listed.push(...ids);
    deepEqual(listed.sort(), names);
  } finally {
    await removeAll(url, prefix);
  }
});
