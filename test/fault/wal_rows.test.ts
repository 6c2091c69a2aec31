/** What the WAL says of rows, by replica identity, and what it doesn't say; the documents tell. */
import { equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import type { EngineRun } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import { fills, hold } from "../support/scripted_sink.ts";
import { allowWal } from "../support/wal.ts";
import {
  captures,
  openScene,
  type Scene,
  type SceneSetup,
  told,
  withTruth,
} from "./capture_scene.ts";

/** Longer than what stays in a row, shorter than what an index takes. */
const LONG = 2_400;
const long = (n: number) => `repeat('${n}', ${LONG})`;
const CHILDREN = ["by_key", "whole", "by_index", "parted"] as const;

const DDL = `
CREATE TABLE shelf (id bigint PRIMARY KEY, name text);
CREATE TABLE by_key (id bigint PRIMARY KEY, shelf_id bigint, name text);
CREATE TABLE whole (id bigint PRIMARY KEY, name text, shelf_id bigint
  REFERENCES shelf ON DELETE CASCADE ON UPDATE CASCADE);
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE by_index (id bigint PRIMARY KEY, shelf_id bigint NOT NULL, name text);
CREATE UNIQUE INDEX by_both ON by_index (shelf_id, id);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_both;
CREATE TABLE parted (id bigint PRIMARY KEY, shelf_id bigint, name text) PARTITION BY RANGE (id);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (1000);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (1000) TO (2000);
CREATE TABLE tag (tag text PRIMARY KEY, label text);
CREATE TABLE tagged (id bigint PRIMARY KEY, tag text, note text);
ALTER TABLE tag ALTER tag SET STORAGE EXTERNAL;
ALTER TABLE tagged ALTER tag SET STORAGE EXTERNAL;
CREATE TABLE moment (at timestamptz PRIMARY KEY, note text);
CREATE TABLE odd (id bigint PRIMARY KEY, note text);
${CHILDREN.map((table) => `CREATE INDEX ON ${table} (shelf_id);`).join("\n")}
CREATE INDEX ON tagged (tag);
INSERT INTO shelf SELECT g, 'shelf ' || g FROM generate_series(1, 20) g;
${
  CHILDREN.map((table) =>
    `INSERT INTO ${table} (id, shelf_id, name)
      SELECT g * 30, 1 + g % 20, '${table} ' || g FROM generate_series(1, 60) g;`
  ).join("\n")
}
INSERT INTO tag SELECT repeat(g::text, ${LONG}), 'label ' || g FROM generate_series(1, 5) g;
INSERT INTO tagged SELECT g, repeat((1 + g % 5)::text, ${LONG}), 'note' FROM generate_series(1, 10) g;
INSERT INTO moment SELECT '2026-03-04 05:06:07.123+00'::timestamptz + g * interval '1 day', 'seed'
  FROM generate_series(1, 10) g;
INSERT INTO odd SELECT g, 'seed' FROM generate_series(1, 10) g;
`;

const children = (table: string) => ({
  hasMany: table,
  foreignKey: "shelf_id",
  orderBy: [{ column: "id" }],
  fields: { id: "long", name: "keyword" },
});
const list = (table: string) =>
  `'${table}', coalesce((SELECT jsonb_agg(jsonb_build_object('id', c.id, 'name', c.name) ORDER BY c.id)
    FROM ${table} c WHERE c.shelf_id = s.id), '[]')`;

const INDEXES = {
  shelves: withTruth(
    {
      table: "shelf",
      fields: {
        name: "keyword",
        ...Object.fromEntries(CHILDREN.map((table) => [table, children(table)])),
      },
    },
    `SELECT s.id::text AS id, jsonb_build_object('name', s.name, ${
      CHILDREN.map(list).join(", ")
    })::text
      AS document FROM shelf s`,
  ),
  parted: withTruth(
    { table: "parted", fields: { name: "keyword" } },
    "SELECT id::text, jsonb_build_object('name', name)::text AS document FROM parted",
  ),
  tagged: withTruth(
    {
      table: "tagged",
      fields: {
        note: "keyword",
        tag: { belongsTo: "tag", column: "tag", fields: { label: "keyword" } },
      },
    },
    `SELECT id::text, jsonb_build_object('note', note, 'tag',
      (SELECT jsonb_build_object('label', label) FROM tag WHERE tag.tag = t.tag))::text AS document
      FROM tagged t`,
  ),
  moments: withTruth(
    { table: "moment", fields: { note: "keyword" } },
    `SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') || '+00' AS id,
      jsonb_build_object('note', note)::text AS document FROM moment`,
  ),
  odd: withTruth(
    { table: "odd", fields: { note: "keyword" } },
    `SELECT coalesce(to_jsonb(o) ->> 'id', to_jsonb(o) ->> 'ident') AS id,
      jsonb_build_object('note', note)::text AS document FROM odd o`,
  ),
};
const SETUP: SceneSetup = { indexes: INDEXES, source: { capture: "wal" } };

/** Each is committed before the next; the documents follow every one. */
async function follow(scene: Scene, statements: readonly string[]): Promise<void> {
  for (const statement of statements) {
    await scene.sql(statement);
    await scene.equalsTables(INDEXES).catch((error) => {
      throw new Error(`${statement.slice(0, 200)}: ${error.message}`, { cause: error });
    });
  }
}

/** Of everything, an index's filling anew tells. */
const fillings = (scene: Scene) => Object.keys(INDEXES).map((name) => scene.seed(name)).join();

async function started(scene: Scene): Promise<EngineRun> {
  const run = scene.start(SETUP);
  await run.waitFor("caughtUp");
  return run;
}

for (const major of [18, 15] as const) {
  test(`rows of every replica identity, TOAST, partitions and prepared transactions on Postgres ${major}: every document follows, none is filled anew`, async () => {
    await using scene = await openScene(DDL, major);
    const { db } = scene;
    await allowWal(db);
    for (const [name, value] of [["DateStyle", "German, DMY"], ["TimeZone", "America/Chicago"]]) {
      for (const role of [db.readerRole, "postgres"]) {
        await scene.sql(`ALTER ROLE ${role} IN DATABASE ${db.name} SET ${name} = '${value}'`);
      }
    }
    await using run = await started(scene);
    equal([...new Set(Object.values(captures(run)))].join(), "L5 wal");
    await scene.equalsTables(INDEXES);
    const before = fillings(scene);
    await follow(scene, [
      CHILDREN.map((table) => `INSERT INTO ${table} (id, shelf_id, name) VALUES (1, 1, 'new')`)
        .join(";"),
      CHILDREN.map((table) => `UPDATE ${table} SET name = 'renamed' WHERE id < 200`).join(";"),
      CHILDREN.map((table) => `UPDATE ${table} SET shelf_id = 1 + id % 7 WHERE id < 300`).join(";"),
      CHILDREN.map((table) => `UPDATE ${table} SET id = id + 5 WHERE id = 300`).join(";"),
      CHILDREN.map((table) => `UPDATE ${table} SET id = id + 5, shelf_id = 2 WHERE id = 330`).join(
        ";",
      ),
      CHILDREN.map((table) => `DELETE FROM ${table} WHERE id BETWEEN 500 AND 700`).join(";"),
      "UPDATE whole SET shelf_id = NULL WHERE id < 90; UPDATE by_key SET shelf_id = NULL WHERE id < 90",
      // From one partition to another; the leaf that is named itself.
      "UPDATE parted SET id = id + 1005 WHERE id < 400; UPDATE parted_high SET name = 'leaf'",
      "UPDATE shelf SET id = 100 WHERE id = 3; DELETE FROM shelf WHERE id = 4",
      `BEGIN; DELETE FROM shelf WHERE id = 5; INSERT INTO shelf VALUES (5, 'again');
        UPDATE shelf SET id = 105 WHERE id = 5; UPDATE shelf SET id = 5 WHERE id = 105; COMMIT`,
      `BEGIN; UPDATE by_key SET name = 'kept' WHERE id = 810; SAVEPOINT s;
        UPDATE by_key SET shelf_id = 9; ROLLBACK TO s; SAVEPOINT t;
        UPDATE whole SET shelf_id = 9 WHERE id = 810; RELEASE t; COMMIT`,
      `BEGIN; UPDATE by_key SET shelf_id = 8 WHERE id = 840; PREPARE TRANSACTION 'p_${db.name}';
        UPDATE shelf SET name = 'meanwhile' WHERE id = 8`,
      `COMMIT PREPARED 'p_${db.name}'`,
      // The key, and the link, aren't in the new row: they are TOAST that didn't change.
      `UPDATE tag SET label = 'other' WHERE tag = ${long(2)}`,
      "UPDATE tagged SET note = 'other' WHERE id < 4",
      `UPDATE tagged SET tag = ${
        long(3)
      } WHERE id = 1; UPDATE tag SET label = 'third' WHERE tag = ${long(3)}`,
      `UPDATE tag SET tag = ${long(6)} WHERE tag = ${long(4)}`,
      "ALTER TABLE tagged REPLICA IDENTITY FULL; UPDATE tagged SET note = 'whole' WHERE id > 6",
      `UPDATE tagged SET tag = ${long(6)} WHERE id > 8; DELETE FROM tagged WHERE id = 2`,
      // Written by a session that writes times in another way than ours.
      `SET DateStyle = 'SQL, MDY'; SET TimeZone = 'Asia/Tokyo'; UPDATE moment SET note = 'told';
        DELETE FROM moment WHERE at < '2026-03-08'; UPDATE moment SET at = at + interval '90 days'
        WHERE at < '2026-03-10'; RESET DateStyle; RESET TimeZone`,
      "SET session_replication_role = replica; UPDATE odd SET note = 'silent'; RESET session_replication_role",
      `BEGIN; INSERT INTO odd SELECT g, 'much' FROM generate_series(11, 3000) g;
        DELETE FROM odd WHERE id % 3 = 0; COMMIT`,
    ]);
    equal(fillings(scene), before);
    ok(!told(run).includes("CAPTURE_GAP"), told(run).join());
    await run.stop();
  });
}

/** What makes a run begin again: each time it is let wait longer, but when it is started anew. */
const UNTOLD: readonly (readonly string[])[] = [
  [
    `CREATE TABLE parted_next PARTITION OF parted FOR VALUES FROM (2000) TO (3000);
      INSERT INTO parted VALUES (2001, 2, 'in the new one')`,
    "TRUNCATE parted_low",
    "ALTER TABLE parted DETACH PARTITION parted_high",
  ],
  [
    // Both are followed; the second by cascade alone.
    "TRUNCATE shelf CASCADE",
    "INSERT INTO shelf VALUES (1, 'anew'); INSERT INTO whole (id, shelf_id) VALUES (1, 1)",
  ],
  [
    // One right behind the other, with rows between them.
    `BEGIN; TRUNCATE by_key, odd; INSERT INTO by_key VALUES (2, 1, 'behind it'); COMMIT;
      BEGIN; TRUNCATE tagged; INSERT INTO tagged VALUES (7, NULL, 'behind that'); COMMIT;
      INSERT INTO odd SELECT g, 'again' FROM generate_series(1, 20) g; TRUNCATE moment`,
  ],
  ["ALTER TABLE odd RENAME id TO ident; UPDATE odd SET note = 'renamed'; DELETE FROM odd WHERE ident < 5"],
  [
    `ALTER TABLE whole REPLICA IDENTITY DEFAULT; INSERT INTO shelf VALUES (2, 'other');
      UPDATE whole SET shelf_id = 2`,
    "DELETE FROM whole",
  ],
];

test("what no row tells, truncates, partitions that come and go, renamed columns and lowered identities, is filled anew", async () => {
  await using scene = await openScene(DDL);
  await allowWal(scene.db);
  for (const statements of UNTOLD) {
    await using run = await started(scene);
    await follow(scene, statements);
    await run.stop();
  }
});

test("a table that loses its replica identity is left out with what to run, and filled when it has one", async () => {
  await using scene = await openScene(DDL);
  await allowWal(scene.db);
  await using run = await started(scene);
  await scene.sql("ALTER TABLE odd REPLICA IDENTITY NOTHING");
  const complaint = await eventually(
    "a complaint",
    () => Promise.resolve(run.events.find((event) => event.type === "problem")),
  );
  match(JSON.stringify(complaint), /ALTER TABLE public\.odd REPLICA IDENTITY DEFAULT/);
  await follow(scene, [
    `ALTER TABLE odd REPLICA IDENTITY DEFAULT; UPDATE odd SET note = 'mended';
      DELETE FROM odd WHERE id = 9`,
  ]);
  await run.stop();
});

test("a crash between a truncate and the filling that mends it: it is filled", async () => {
  await using scene = await openScene(DDL);
  await allowWal(scene.db);
  await using run = await started(scene);
  const gate = hold();
  scene.sink.script({ kind: "hold", hold: gate }, { on: "write", when: fills });
  await scene.sql(
    "TRUNCATE moment; INSERT INTO moment VALUES ('2026-05-05 01:02:03.456+00', 'alone')",
  );
  await gate.reached;
  await run.crash();
  scene.sink.unscript();
  await using again = await started(scene);
  await scene.equalsTables(INDEXES);
  await again.stop();
});
