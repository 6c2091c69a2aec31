import { deepEqual, equal, match, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import { FatalError } from "../../src/core/errors.ts";
import type { Sink } from "../../src/core/ports.ts";
import { compare, EPOCH, index, scalar, SIGNAL } from "./documents_fixture.ts";
import { openSweep, SINKS } from "./key_sweep_run.ts";

const ITEMS = `CREATE TABLE items (id bigint PRIMARY KEY, v text, gone boolean, kind int);
  INSERT INTO items SELECT g, 'v' || g, false, g % 2 FROM generate_series(1, 300) g`;
const ITEMS_INDEX = index("items", "items", [scalar("v")]);
const upTo = (n: number) => Array.from({ length: n }, (_, at) => String(at + 1));

for (const [name, open] of Object.entries(SINKS)) {
  describe(`the key sweep with ${name}`, () => {
    test("finds nothing when nothing is wrong, and lists no key then", async () => {
      await using run = await openSweep(ITEMS, [ITEMS_INDEX], open);
      await run.fill();
      run.fixture.sent.length = 0;
      equal(await run.sweep(), undefined);
      deepEqual(run.found(), { missing: 0, orphans: 0 });
      deepEqual(run.warnings(), []);
      equal(run.fixture.sent.filter(({ text }) => !text.includes("GROUP BY")).length, 1);
    });

    test("finds rows that came, went and changed their key unseen, and mends no others", async () => {
      await using run = await openSweep(ITEMS, [ITEMS_INDEX], open);
      await run.fill();
      await run.sql`DELETE FROM items WHERE id <= 20`;
      await run.sql`INSERT INTO items SELECT g, 'new' FROM generate_series(1001, 1010) g`;
      await run.sql`UPDATE items SET id = id + 5000 WHERE id BETWEEN 21 AND 25`;
      equal(await run.sweep(), undefined);
      deepEqual(run.found(), { missing: 15, orphans: 25 });
      const ids = (await run.sql`SELECT id::text FROM items`).map((row) => String(row["id"]));
      equal(ids.length, 290);
      await run.equals("items", ids);
      equal(await run.sweep(), undefined);
      deepEqual(run.found(), { missing: 0, orphans: 0 });
    });

    test("removes the documents of rows that a cascade took", async () => {
      await using run = await openSweep(
        `CREATE TABLE owners (id int PRIMARY KEY);
         CREATE TABLE items (id int PRIMARY KEY, v text,
           owner int REFERENCES owners (id) ON DELETE CASCADE);
         INSERT INTO owners SELECT generate_series(1, 3);
         INSERT INTO items SELECT g, 'v', 1 + g % 3 FROM generate_series(1, 30) g`,
        [ITEMS_INDEX],
        open,
      );
      await run.fill();
      await run.sql`DELETE FROM owners WHERE id = 1`;
      await run.sweep();
      await run.equals("items", upTo(30).filter((id) => Number(id) % 3 !== 0));
    });

    test("empties a truncated index of 500, but one of 5,000 only when told to", async () => {
      await using run = await openSweep(ITEMS, [ITEMS_INDEX], open);
      await run.fill();
      await run.sql`TRUNCATE items`;
      await run.sql`INSERT INTO items SELECT g, 'v' FROM generate_series(1, 500) g`;
      await run.sweep();
      await run.sql`TRUNCATE items`;
      equal(await run.sweep(), undefined);
      deepEqual(run.found(), { missing: 0, orphans: 500 });
      await run.equals("items", []);

      await run.sql`INSERT INTO items SELECT g, 'v' FROM generate_series(1, 5000) g`;
      await run.sweep();
      deepEqual(run.found(), { missing: 5000, orphans: 0 });
      await run.sql`TRUNCATE items`;
      await run.sql`INSERT INTO items VALUES (7001, 'missing')`;
      const refusal = await run.sweep();
      ok(refusal instanceof FatalError && refusal.code === "MASS_DELETE_REFUSED");
      match(refusal.message, /5000 documents of index "items" in sink "\w+"/);
      match(refusal.hint, /--allow-mass-delete/);
      match(refusal.hint, /massDeletes/);
      deepEqual(run.warnings(), ["MASS_DELETE_REFUSED"]);
      deepEqual(run.found(), { missing: 1, orphans: 0 });
      equal((await run.subject.documents("items")).size, 5001);
      equal(await run.sweep({ massDeletes: true }), undefined);
      deepEqual(run.found(), { missing: 0, orphans: 5000 });
      await run.equals("items", ["7001"]);
    });

    test("takes what is put in by hand out, and what is taken out by hand in", async () => {
      await using run = await openSweep(ITEMS, [ITEMS_INDEX], open);
      await run.fill();
      for (const id of ["9001", "not a number", "042", "99999999999999999999"]) {
        await run.subject.put("items", id, `{"v":"by hand"}`);
      }
      for (const id of ["1", "2", "3"]) await run.subject.remove("items", id);
      equal(await run.sweep(), undefined);
      deepEqual(run.found(), { missing: 3, orphans: 4 });
      await run.equals("items", upTo(300));
      deepEqual(run.warnings(), []);
    });

    test("replaces a document without a mark by its row's", async () => {
      await using run = await openSweep(ITEMS, [ITEMS_INDEX], open);
      await run.fill();
      await run.subject.remove("items", "7");
      await run.subject.put("items", "7", `{"v":"by hand"}`);
      equal(await run.sweep(), undefined);
      await run.equals("items", upTo(300));
      await run.sweep();
      deepEqual(run.found(), { missing: 0, orphans: 0 });
    });

    test("reports what a version above ours protects, once a sweep", async () => {
      await using run = await openSweep(ITEMS, [ITEMS_INDEX], open);
      await run.fill();
      await run.subject.put("items", "9001", `{"v":"by hand"}`, 1n << 62n);
      for (let n = 0; n < 2; n++) {
        equal(await run.sweep(), undefined);
        deepEqual(run.warnings(), ["REPAIR_REFUSED"]);
        deepEqual(run.found(), { missing: 0, orphans: 0 });
      }
      equal((await run.subject.documents("items")).size, 301);
    });

    test("holds filtered and soft-deleted rows for absent", async () => {
      const filtered = index("items", "items", [scalar("v")], {
        where: [compare("kind", "eq", 1)],
        softDelete: { kind: "column", column: "gone" },
      });
      await using run = await openSweep(ITEMS, [filtered], open);
      await run.fill();
      equal((await run.subject.documents("items")).size, 150);
      await run.sweep();
      deepEqual(run.found(), { missing: 0, orphans: 0 });
      await run.sql`UPDATE items SET gone = true WHERE id IN (1, 2)`;
      await run.sql`UPDATE items SET kind = 0 WHERE id IN (3, 5)`;
      await run.sql`UPDATE items SET kind = 1 WHERE id IN (4, 6, 8)`;
      await run.sql`UPDATE items SET gone = NULL WHERE id = 7`;
      await run.sweep();
      deepEqual(run.found(), { missing: 3, orphans: 3 });
      const odd = upTo(300).filter((id) => Number(id) % 2 === 1 && !["1", "3", "5"].includes(id));
      await run.equals("items", [...odd, "4", "6", "8"]);
    });

    test("removes the rows of a detached partition, and adds those of an attached one", async () => {
      await using run = await openSweep(
        `CREATE TABLE items (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
         CREATE TABLE items_a PARTITION OF items FOR VALUES FROM (1) TO (101);
         CREATE TABLE items_b PARTITION OF items FOR VALUES FROM (101) TO (201);
         CREATE TABLE items_c (id int PRIMARY KEY, v text);
         INSERT INTO items SELECT g, 'v' FROM generate_series(1, 200) g;
         INSERT INTO items_c SELECT g, 'v' FROM generate_series(201, 250) g`,
        [ITEMS_INDEX],
        open,
      );
      await run.fill();
      await run.sql`ALTER TABLE items DETACH PARTITION items_b`;
      await run.sql`ALTER TABLE items ATTACH PARTITION items_c FOR VALUES FROM (201) TO (301)`;
      await run.sweep();
      deepEqual(run.found(), { missing: 50, orphans: 100 });
      await run.equals("items", upTo(250).filter((id) => Number(id) <= 100 || Number(id) > 200));
    });

    test("loses to what live writes do to the same documents meanwhile", async () => {
      await using run = await openSweep(ITEMS, [ITEMS_INDEX], open);
      await run.fill();
      await run.sql`DELETE FROM items WHERE id <= 200`;
      const live = async (id: number) => {
        const ids = [run.builder.identify("items", [String(id)])];
        const { documents } = await run.builder.build(ids, EPOCH, SIGNAL);
        await run.subject.sink.write(documents, "live", SIGNAL);
      };
      /** Each id is inserted again, or deleted once more, at another step of the sweep. */
      let at = 0;
      const meddle = async () => {
        at++;
        const other = 200 + at;
        // Visible before it is flushed: live builds read the very position that ours do.
        await run.sql.unsafe(`SET synchronous_commit = off;
          INSERT INTO items VALUES (${at}, 'again') ON CONFLICT DO NOTHING;
          DELETE FROM items WHERE id = ${other};`).simple();
        await live(at);
        await live(other);
      };
      const { sink } = run.subject;
      const { write, keys } = sink;
      ok(keys !== undefined);
      const meddled: Sink = {
        ...sink,
        async write(documents, mode, signal) {
          await meddle();
          const rejections = await write(documents, mode, signal);
          await meddle();
          return rejections;
        },
        keys: {
          async keySums(name, signal) {
            const sums = await keys.keySums(name, signal);
            await meddle();
            return sums;
          },
          async *idsIn(name, buckets, signal) {
            await meddle();
            yield* keys.idsIn(name, buckets, signal);
            await meddle();
          },
        },
      };
      const builder = {
        ...run.builder,
        async *idsIn(...args: Parameters<typeof run.builder.idsIn>) {
          await meddle();
          yield* run.builder.idsIn(...args);
          await meddle();
        },
        async build(...args: Parameters<typeof run.builder.build>) {
          await meddle();
          const built = await run.builder.build(...args);
          await meddle();
          return built;
        },
      };
      const pipeline = { builder, sinks: [meddled], watch: () => Promise.resolve() };
      // One alone: a second would mend what the first broke.
      equal(await run.sweep({ pipeline: { ...pipeline, capture: {} as never } }), undefined);
      ok(at >= 10, `${at} steps`);
      const ids = (await run.sql`SELECT id::text FROM items`).map((row) => String(row["id"]));
      await run.equals("items", ids);
    });
  });
}
