import process from "node:process";
import { sqliteSink } from "../../src/sqlite/sink.ts";
import { sampleDocument, samplePlan, V } from "../contract/sink_samples.ts";

/**
 * A program for a test to kill: fills the sqlite file named by its argument for ever, and prints the
 * number of each batch of 200 documents once its write has resolved.
 */
const signal = new AbortController().signal;
const path = process.argv[2];
if (path === undefined) throw new Error("Cannot start: no path given");
const sink = sqliteSink({ name: "sqlite", path });
await sink.ensure(samplePlan("things"), "s1", signal);
for (let batch = 0;; batch++) {
  const documents = Array.from(
    { length: 200 },
    (_, n) => sampleDocument("things", `${batch}-${n}`, V, `batch ${batch} document ${n}`),
  );
  await sink.write(documents, "fill", signal);
  await sink.saveSeed("things", { after: [`${batch}`], rows: (batch + 1) * 200 }, signal);
  process.stdout.write(`${batch}\n`);
}
