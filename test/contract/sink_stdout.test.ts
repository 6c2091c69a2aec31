import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FatalError } from "../../src/core/errors.ts";
import { type LineWriter, stdoutSink } from "../../src/stdout/sink.ts";
import { inFolder } from "../support/in_folder.ts";
import { exerciseSink } from "./exercise_sink.ts";
import { sampleBody, sampleDocument, samplePlan, V } from "./sink_samples.ts";
import { never, type SinkSubject, type Stored } from "./sink_subject.ts";

exerciseSink("stdout", stdoutSubject, {
  versions: false,
  generations: false,
  remembers: true,
  searches: false,
  keys: false,
  refs: false,
});

/** A file stands for the stream's reader: it keeps the last line of each document. */
async function stdoutSubject(): Promise<SinkSubject> {
  const folder = await mkdtemp(join(tmpdir(), "driftless-stdout-"));
  const lines = join(folder, "lines.ndjson");
  writeFileSync(lines, "");
  const out: LineWriter = { write: (text) => Promise.resolve(appendFileSync(lines, text)) };
  const statePath = join(folder, "state.json");
  const read = (index: string, id: string) => Promise.resolve(lastOf(lines, index, id));
  return {
    open: () => Promise.resolve(stdoutSink({ name: "stdout", out, statePath })),
    read,
    served: read,
    dispose: () => rm(folder, { recursive: true }),
  };
}

function lastOf(path: string, index: string, id: string): Stored | undefined {
  const mine = `"index":${JSON.stringify(index)},"id":${JSON.stringify(id)},"version":`;
  const line = readFileSync(path, "utf8").split("\n").findLast((each) => each.includes(mine));
  if (line === undefined) return undefined;
  const { op, version } = JSON.parse(line) as { op: string; version: string };
  if (op === "delete") return undefined;
  const start = line.indexOf(`,"document":`) + `,"document":`.length;
  return { body: line.slice(start, -1), version: BigInt(version) };
}

describe("the stdout sink", () => {
  test(
    "prints one line a document, as documented",
    inFolder(async (folder) => {
      let printed = "";
      const out: LineWriter = { write: (text) => Promise.resolve(void (printed += text)) };
      await using sink = stdoutSink({ name: "stdout", out, statePath: join(folder, "s.json") });
      await sink.ensure(samplePlan("things"), "s1", never);
      await sink.write(
        [sampleDocument("things", 'a"b', V, "one"), sampleDocument("things", "2", 8n, null)],
        "live",
        never,
      );
      assert.deepEqual(printed.split("\n"), [
        `{"op":"index","index":"things","id":"a\\"b","version":"${V}","document":${
          sampleBody("one")
        }}`,
        `{"op":"delete","index":"things","id":"2","version":"8"}`,
        "",
      ]);
    }),
  );

  test(
    "holds back until its reader keeps up, and stops waiting when told to",
    inFolder(async (folder) => {
      const reached = Promise.withResolvers<void>();
      let drain = Promise.withResolvers<void>();
      const out: LineWriter = {
        write(_text, signal) {
          reached.resolve();
          signal.addEventListener("abort", () => drain.reject(signal.reason));
          return drain.promise;
        },
      };
      await using sink = stdoutSink({ name: "stdout", out, statePath: join(folder, "s.json") });
      await sink.ensure(samplePlan("things"), "s1", never);
      let done = false;
      const documents = [sampleDocument("things", "1", V, "one")];
      const writing = sink.write(documents, "live", never).then(() => done = true);
      await reached.promise;
      assert.equal(done, false);
      drain.resolve();
      await writing;
      drain = Promise.withResolvers<void>();
      const controller = new AbortController();
      const held = sink.write(documents, "live", controller.signal);
      const reason = new Error("told to stop");
      controller.abort(reason);
      await assert.rejects(held, (error) => error === reason);
    }),
  );

  test(
    "a reader that went away is fatal",
    inFolder(async (folder) => {
      const broken = Object.assign(new Error("broken pipe"), { code: "EPIPE" });
      const out: LineWriter = { write: () => Promise.reject(broken) };
      await using sink = stdoutSink({ name: "stdout", out, statePath: join(folder, "s.json") });
      await sink.ensure(samplePlan("things"), "s1", never);
      const writing = sink.write([sampleDocument("things", "1", V, "one")], "live", never);
      await assert.rejects(
        writing,
        (error) => error instanceof FatalError && error.code === "OUTPUT_CLOSED",
      );
    }),
  );

  test(
    "state changes made at once are all kept, and leave one whole file",
    inFolder(async (folder) => {
      const out: LineWriter = { write: () => Promise.resolve() };
      const statePath = join(folder, "s.json");
      await using sink = stdoutSink({ name: "stdout", out, statePath });
      const names = Array.from({ length: 20 }, (_, n) => `index-${n}`);
      await Promise.all(names.map((name) => sink.ensure(samplePlan(name), "s1", never)));
      await Promise.all(names.map((name) => sink.markSeeded(name, never)));
      const stored = JSON.parse(await readFile(statePath, "utf8")) as { seeds: object };
      assert.equal(Object.keys(stored.seeds).length, 20);
      assert.deepEqual(await readdir(folder), ["s.json"]);
    }),
  );

  test(
    "a state file that is something else, or can't be written, is fatal and left alone",
    inFolder(async (folder) => {
      const out: LineWriter = { write: () => Promise.resolve() };
      const statePath = join(folder, "s.json");
      for (const content of ["not json", "{}", "null", `{"format":2,"seeds":{}}`]) {
        writeFileSync(statePath, content);
        await using sink = stdoutSink({ name: "stdout", out, statePath });
        await assert.rejects(sink.connect(never), FatalError);
        await assert.rejects(sink.ensure(samplePlan("things"), "s1", never), FatalError);
        assert.equal(readFileSync(statePath, "utf8"), content);
      }
      const missing = join(folder, "missing", "s.json");
      await using sink = stdoutSink({ name: "stdout", out, statePath: missing });
      await assert.rejects(sink.connect(never), FatalError);
    }),
  );
});
