import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import type { Checkpoint } from "../../src/core/checkpoint.ts";
import { FatalError, RetryableError } from "../../src/core/errors.ts";
import { inFolder } from "../support/in_folder.ts";
import { translate } from "../../src/sqlite/errors.ts";
import { sqliteSink } from "../../src/sqlite/sink.ts";
import { sampleDocument, samplePlan, V } from "./sink_samples.ts";
import { never, write } from "./sink_subject.ts";

const PLAN = samplePlan("things");

const CHECKPOINT: Checkpoint = {
  identity: { systemId: "1", timeline: 1, database: "shop" },
  epoch: { number: 0, timeline: 1, kind: "flush" },
  sequence: 1,
  cursor: "",
  confirmedThrough: "2026-01-02T03:04:05.123456Z",
  coverage: {},
};

const onPath = (body: (path: string) => Promise<void>) =>
  inFolder((folder) => body(join(folder, "documents.db")));

const coded = (type: typeof FatalError | typeof RetryableError, code: string) => (error: unknown) =>
  error instanceof type && error.code === code;

const sinkOn = (path: string) => sqliteSink({ name: "sqlite", path });

describe("the sqlite file", () => {
  test(
    "is not created by reading",
    onPath(async (path) => {
      await using sink = sinkOn(path);
      assert.match(await sink.connect(never), /^sqlite 3\.\d+\.\d+ file .*documents\.db$/);
      assert.equal(await sink.seedState(PLAN, never), undefined);
      assert.equal(await sink.loadCheckpoint(never), undefined);
      await assert.rejects(
        sink.search("things", "x", 10, never),
        coded(FatalError, "INDEX_NOT_SEEDED"),
      );
      assert.equal(existsSync(path), false);
      await sink.ensure(PLAN, "s1", never);
      assert.equal(existsSync(path), true);
    }),
  );

  test(
    "filled by an earlier release serves what it holds until it is filled anew",
    onPath(async (path) => {
      {
        await using sink = sinkOn(path);
        await sink.ensure(PLAN, "s1", never);
        await write(sink, [sampleDocument("things", "1", V, "old")], "fill");
        await sink.markSeeded("things", never);
        using file = new DatabaseSync(path);
        file.exec(`DROP INDEX _keys_1; ALTER TABLE _documents_1 DROP COLUMN bucket;
          ALTER TABLE _documents_1 DROP COLUMN key_hash;
          ALTER TABLE _documents_1 DROP COLUMN listed; DROP TABLE _refs_1`);
      }
      // Documents without marks have another hash: FORMAT in postgres/documents/plan.ts.
      const plan = samplePlan("things", "ffff0000");
      await using sink = sinkOn(path);
      assert.equal(await sink.seedState(plan, never), undefined);
      await sink.ensure(plan, "s2", never);
      const document = { ...sampleDocument("things", "1", V, "new"), sync: { bucket: 1, key: 2 } };
      await write(sink, [document]);
      assert.equal((await sink.search("things", "old", 10, never)).length, 1);
      await sink.markSeeded("things", never);
      assert.equal((await sink.search("things", "new", 10, never)).length, 1);
      assert.deepEqual([...await sink.keys?.keySums("things", never) ?? []], [
        [1, { count: 1, sum: 2 }],
      ]);
    }),
  );

  test(
    "that is something else is refused and left as it was",
    onPath(async (path) => {
      const foreign = () => new DatabaseSync(path);
      const cases: Readonly<Record<string, () => void>> = {
        SQLITE_NOTADB: () => writeFileSync(path, "not a database, but long enough to be one"),
        SQLITE_FOREIGN: () => {
          using other = foreign();
          other.exec("CREATE TABLE theirs (a)");
        },
        SQLITE_FORMAT: () => {
          using other = foreign();
          other.exec(`PRAGMA application_id = ${0x44524654}; PRAGMA user_version = 99`);
        },
      };
      for (const [code, make] of Object.entries(cases)) {
        rmSync(path, { force: true });
        make();
        const before = readFileSync(path);
        await using sink = sinkOn(path);
        await assert.rejects(sink.connect(never), coded(FatalError, code));
        await assert.rejects(sink.ensure(PLAN, "s1", never), coded(FatalError, code));
        assert.ok(readFileSync(path).equals(before), code);
      }
      await using missing = sinkOn(join(path, "..", "missing", "documents.db"));
      await assert.rejects(missing.connect(never), coded(FatalError, "SQLITE_CANTOPEN"));
    }),
  );

  test(
    "that was deleted or replaced in the middle of a run ends it before the checkpoint",
    onPath(async (path) => {
      for (const lose of [() => rmSync(path), () => renameSync(path, `${path}.moved`)]) {
        await using sink = sinkOn(path);
        await sink.ensure(PLAN, "s1", never);
        await sink.saveCheckpoint(CHECKPOINT, never);
        lose();
        await write(sink, [sampleDocument("things", "1", V, "lost")]);
        const saving = sink.saveCheckpoint({ ...CHECKPOINT, sequence: 2 }, never);
        await assert.rejects(saving, coded(FatalError, "INDEX_LOST"));
      }
    }),
  );

  test(
    "whose filling another process replaced ends the run before the checkpoint",
    onPath(async (path) => {
      await using sink = sinkOn(path);
      await sink.ensure(PLAN, "s1", never);
      await using other = sinkOn(path);
      await other.ensure(PLAN, "s2", never);
      await other.markSeeded("things", never);
      const document = sampleDocument("things", "1", V, "one");
      await assert.rejects(
        sink.write([document], "live", never),
        coded(FatalError, "INDEX_LOST"),
      );
      await assert.rejects(
        sink.saveCheckpoint(CHECKPOINT, never),
        coded(FatalError, "INDEX_LOST"),
      );
    }),
  );

  test(
    "that another process has locked is worth another try, and readers don't wait for it",
    onPath(async (path) => {
      await using sink = sinkOn(path);
      await sink.ensure(PLAN, "s1", never);
      await write(sink, [sampleDocument("things", "1", V, "one")], "fill");
      await sink.markSeeded("things", never);
      using other = new DatabaseSync(path);
      other.exec("BEGIN IMMEDIATE");
      const document = sampleDocument("things", "1", V + 8n, "two");
      const busy = coded(RetryableError, "SQLITE_BUSY");
      await assert.rejects(sink.write([document], "live", never), busy);
      await assert.rejects(sink.saveCheckpoint(CHECKPOINT, never), busy);
      await using reader = sinkOn(path);
      assert.equal((await reader.search("things", "one", 10, never)).length, 1);
      other.exec("COMMIT");
      await write(sink, [document]);
      assert.equal((await reader.search("things", "two", 10, never)).length, 1);
    }),
  );

  test(
    "on a full disk is fatal, with what to do",
    onPath((path) => {
      using small = new DatabaseSync(path);
      small.exec("PRAGMA max_page_count = 2; CREATE TABLE t (a)");
      const insert = small.prepare("INSERT INTO t VALUES (?)");
      assert.throws(() => insert.run("x".repeat(100_000)), (error) => {
        const translated = translate(error, path);
        return translated instanceof FatalError && translated.code === "SQLITE_FULL" &&
          translated.hint.includes("space") && !translated.message.includes("xxx");
      });
      return Promise.resolve();
    }),
  );

  test(
    "holds every batch that was acknowledged before kill -9, and no part of another",
    onPath(async (path) => {
      const program = fileURLToPath(new URL("../support/write_until_killed.ts", import.meta.url));
      const run = "Deno" in globalThis ? ["run", "-A", program] : [program];
      const child = spawn(process.execPath, [...run, path], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const exited = once(child, "exit");
      let acknowledged = -1;
      for await (const line of createInterface({ input: child.stdout })) {
        acknowledged = Math.max(acknowledged, Number(line));
        if (acknowledged === 30) child.kill("SIGKILL");
      }
      await exited;
      await using sink = sinkOn(path);
      const state = await sink.seedState(PLAN, never);
      assert.ok((state?.rows ?? 0) >= (acknowledged + 1) * 200);
      using observer = new DatabaseSync(path, { readOnly: true });
      const row = observer.prepare("SELECT count(*) AS n FROM _documents_1").get();
      const count = Number(row?.["n"]);
      assert.ok(count >= (acknowledged + 1) * 200);
      assert.equal(count % 200, 0, "a batch is there as a whole or not at all");
    }),
  );
});
