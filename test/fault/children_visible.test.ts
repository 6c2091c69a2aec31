/** A child that moves, with a sink whose searches see a write only after a refresh. */
import { ok } from "node:assert/strict";
import { test } from "node:test";
import { openSearchSink } from "../../src/opensearch/sink.ts";
import { removeAll, sinkOptions } from "../contract/opensearch_observer.ts";
import { startEngine } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import { createDatabase } from "../support/postgres.ts";
import { assertSameDocuments, openSearchDocuments, sqlDocuments } from "../support/truth.ts";
import { sceneDdl, TEAMS } from "./capture_scene.ts";

const TRUTH = `SELECT t.id::text AS id, jsonb_build_object('id', t.id, 'name', t.name, 'players',
  coalesce((SELECT jsonb_agg(jsonb_build_object('id', p.id, 'name', p.name) ORDER BY p.id)
   FROM player p WHERE p.team_id = t.id), '[]'))::text AS document FROM team t`;

test("a child leaves parents that were written after the last refresh", async () => {
  await using db = await createDatabase(sceneDdl());
  const { url } = await openSearchServer();
  const prefix = uniquePrefix();
  const signal = new AbortController().signal;
  const sink = openSearchSink(sinkOptions(url, prefix));
  /** By player: changes of it that were acknowledged. */
  const acks = new Map<string, number>();
  try {
    await using engine = startEngine({
      url: db.readerUrl,
      sinks: [sink],
      // Nothing is visible but by a refresh that somebody asks for.
      indexes: { teams: { ...TEAMS, settings: { refresh_interval: "-1" } } },
      source: { sweeps: false },
      wrap: (capture) => ({
        ...capture,
        async *live(scope) {
          for await (const delivery of capture.live(scope)) {
            yield {
              ...delivery,
              ack: () => {
                const [id = ""] = delivery.value.key;
                acks.set(id, (acks.get(id) ?? 0) + 1);
                delivery.ack();
              },
            };
          }
        },
      }),
    });
    await engine.waitFor("caughtUp");
    // Each move makes a parent that the next one has to find.
    for (const team of [3, 20, 7, 12]) {
      const before = acks.get("500") ?? 0;
      await db.sql`INSERT INTO player (id, team_id, name) VALUES (500, ${team}, 'new')
        ON CONFLICT (id) DO UPDATE SET team_id = excluded.team_id`;
      await eventually(
        `the acknowledgement of the move to ${team}`,
        async () => (acks.get("500") ?? 0) > before,
      );
    }
    await sink.refresh(["teams"], signal);
    const documents = await openSearchDocuments(url, `${prefix}teams`);
    assertSameDocuments(documents, await sqlDocuments(db.sql, TRUTH), "teams");
    ok(documents.size > 0);
    await engine.stop();
  } finally {
    await sink[Symbol.asyncDispose]();
    await removeAll(url, prefix);
  }
});
