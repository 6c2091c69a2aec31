import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Checkpoint } from "../../src/core/checkpoint.ts";
import { fatal, onCluster, physicalOf, PLAN } from "./opensearch_cluster.ts";
import { ask } from "./opensearch_observer.ts";
import { sampleDocument, V } from "./sink_samples.ts";
import { never } from "./sink_subject.ts";

const CHECKPOINT: Checkpoint = {
  identity: { systemId: "1", timeline: 1, database: "shop" },
  epoch: { number: 1, timeline: 1, kind: "flush" },
  sequence: 1,
  cursor: "c",
  confirmedThrough: "2026-01-02T03:04:05.123456Z",
  coverage: {},
};

describe("OpenSearch: an index that is lost while it is written to", () => {
  for (
    const [how, lose] of Object.entries({
      "deleted": async (url: string, physical: string) => {
        await ask(url, "DELETE", `/${physical}`);
      },
      "deleted and made again by the next bulk": async (url: string, physical: string) => {
        await ask(url, "DELETE", `/${physical}`);
        await ask(url, "PUT", `/${physical}/_doc/1`, { guessed: "mapping" });
      },
    })
  ) {
    test(
      `ends the run before anything more is confirmed: ${how}`,
      onCluster(async (cluster) => {
        const first = cluster.open();
        await first.ensure(PLAN, "s1", never);
        await first.saveSeed("things", { after: ["1"], rows: 1 }, never);
        await first.saveCheckpoint(CHECKPOINT, never);
        await lose(cluster.url, await physicalOf(cluster));
        const later = { ...CHECKPOINT, sequence: 2, cursor: "later" };
        const lost = fatal("INDEX_LOST", "things_0123abcd_1");
        await assert.rejects(first.saveSeed("things", { after: ["2"], rows: 2 }, never), lost);
        await assert.rejects(first.markSeeded("things", never), lost);
        await assert.rejects(first.saveCheckpoint(later, never), lost);
        assert.deepEqual(await first.loadCheckpoint(never), CHECKPOINT);
        await first[Symbol.asyncDispose]();

        await using second = cluster.open();
        assert.equal(await second.seedState(PLAN, never), undefined, "as if never begun");
        await assert.rejects(second.ensure(PLAN, undefined, never), { code: "INDEX_LOST" });
      }),
    );
  }

  test(
    "is filled anew after the next start",
    onCluster(async (cluster) => {
      const first = cluster.open();
      await first.ensure(PLAN, "s1", never);
      await ask(cluster.url, "DELETE", `/${await physicalOf(cluster)}`);
      await first[Symbol.asyncDispose]();
      await using second = cluster.open();
      await second.ensure(PLAN, "s2", never);
      assert.deepEqual(await second.seedState(PLAN, never), { seed: "s2", seeded: false, rows: 0 });
      assert.equal(await physicalOf(cluster), `${cluster.prefix}things_0123abcd_2`);
    }),
  );

  test(
    "a closed one stops the write and the next start, with how to open it",
    onCluster(async (cluster) => {
      await using sink = cluster.open();
      await sink.ensure(PLAN, "s1", never);
      const physical = await physicalOf(cluster);
      await ask(cluster.url, "POST", `/${physical}/_close`);
      const document = sampleDocument("things", "1", V, "one");
      await assert.rejects(sink.write([document], "live", never), fatal("INDEX_LOST", "things"));
      await assert.rejects(
        sink.ensure(PLAN, undefined, never),
        fatal("INDEX_CLOSED", physical),
      );
    }),
  );

  test(
    "the state's own index counts as well",
    onCluster(async (cluster) => {
      await using sink = cluster.open();
      await sink.ensure(PLAN, "s1", never);
      await ask(cluster.url, "DELETE", `/${cluster.prefix}driftless`);
      await assert.rejects(
        sink.saveCheckpoint(CHECKPOINT, never),
        fatal("INDEX_LOST", "driftless"),
      );
      assert.equal(await sink.loadCheckpoint(never), undefined);
    }),
  );
});
