/** A slot, or a publication, that something happens to: a gap is filled, and nothing else is. */
import { equal, match, notEqual, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import { openWalSession } from "../../src/postgres/wal/session.ts";
import type { EngineRun } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import { hold } from "../support/scripted_sink.ts";
import { allowWal, slotAdvances, slotIsFree, slotOf } from "../support/wal.ts";
import {
  alarm,
  captures,
  openScene,
  type Scene,
  sceneDdl,
  type SceneSetup,
  told,
} from "./capture_scene.ts";

const SETUP: SceneSetup = { source: { capture: "wal" } };
const DECODED: Readonly<Record<string, string>> = {
  "public.player": "L5 wal",
  "public.team": "L5 wal",
};

async function opened(major: 15 | 18 = 18): Promise<Scene> {
  const scene = await openScene(sceneDdl({ stamped: false }), major);
  await allowWal(scene.db);
  return scene;
}

async function started(scene: Scene): Promise<EngineRun> {
  const run = scene.start(SETUP);
  await run.waitFor("caughtUp");
  equal(
    JSON.stringify(Object.entries(captures(run)).sort()),
    JSON.stringify(Object.entries(DECODED)),
  );
  return run;
}

/** Followed, drained and stopped: the slot is where the checkpoint is. Its name. */
async function followed(scene: Scene): Promise<string> {
  await using run = await started(scene);
  await scene.sql("UPDATE team SET name = 'first' WHERE id = 1; DELETE FROM player WHERE id = 99");
  await scene.equalsTables();
  await slotAdvances(scene.db);
  await run.stop();
  return (await slotIsFree(scene.db)).name;
}

/** What nobody can read any more, once the slot is past it. */
const MISSED = `DELETE FROM player WHERE id <= 10; UPDATE player SET team_id = 1 WHERE id = 20;
  INSERT INTO team SELECT max(id) + 1, 'new', 'city' FROM team`;

const fillings = (scene: Scene) => ["teams", "players"].map((name) => scene.seed(name)).join();

/** Takes the slot from whoever reads it. */
async function dropSlot(scene: Scene, name: string): Promise<void> {
  await eventually("the slot dropped", async () => {
    await scene.sql(`SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
      WHERE slot_name = '${name}' AND active_pid IS NOT NULL`);
    await scene.sql(`SELECT pg_drop_replication_slot('${name}')`);
    return true;
  });
}

describe("a slot that something happened to while nothing ran", () => {
  for (const major of [18, 15] as const) {
    const accidents: Readonly<Record<string, (scene: Scene, slot: string) => Promise<void>>> = {
      "dropped": async (scene, slot) => {
        await dropSlot(scene, slot);
        await scene.sql(MISSED);
      },
      "made anew under its name": async (scene, slot) => {
        await dropSlot(scene, slot);
        await scene.sql(MISSED);
        await scene.sql(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
      },
      "advanced by another": async (scene, slot) => {
        await scene.sql(MISSED);
        await scene.sql(`SELECT pg_replication_slot_advance('${slot}', pg_current_wal_lsn())`);
      },
      "read by another": async (scene, slot) => {
        await scene.sql(MISSED);
        const signal = new AbortController().signal;
        await using other = await openWalSession({
          url: scene.db.readerUrl,
          rowSecurity: "refuse",
          applicationName: "another",
          slot,
          publication: "driftless",
          from: 0n,
        }, signal);
        const [row] = await scene.db.sql`SELECT pg_current_wal_lsn() - '0/0'::pg_lsn AS at`;
        other.confirm(BigInt(String(row?.["at"])));
        await slotAdvances(scene.db);
      },
    };
    test(`${Object.keys(accidents).join("; ")}: on Postgres ${major} each is a gap that is filled`, async () => {
      await using scene = await opened(major);
      for (const [what, happens] of Object.entries(accidents)) {
        const slot = await followed(scene);
        const before = fillings(scene);
        await happens(scene, slot);
        await using run = await started(scene);
        await scene.equalsTables().catch((error) => {
          throw new Error(`${what}: ${error.message}`, { cause: error });
        });
        ok(told(run).includes("CAPTURE_GAP"), `${what}: ${told(run).join()}`);
        notEqual(fillings(scene), before, what);
        await scene.sql("DELETE FROM player WHERE id IN (SELECT max(id) FROM player)");
        await scene.equalsTables();
        await run.stop();
      }
      // None of the above: it goes on where it was.
      await followed(scene);
      const before = fillings(scene);
      await scene.sql("DELETE FROM player WHERE id > 80; UPDATE team SET name = 'away'");
      await using run = await started(scene);
      await scene.equalsTables();
      equal(fillings(scene), before);
      ok(!told(run).includes("CAPTURE_GAP"));
      await run.stop();
    });
  }
});

test("a slot that is dropped under a run: it says so, makes another, and fills what was missed", async () => {
  await using scene = await opened();
  await using run = await started(scene);
  const slot = await slotOf(scene.db);
  const before = fillings(scene);
  await dropSlot(scene, slot?.name ?? "");
  await scene.sql(MISSED);
  match(await alarm(run, "CAPTURE_GAP"), /slot/);
  await scene.equalsTables();
  notEqual(fillings(scene), before);
  await scene.sql("DELETE FROM player WHERE id = 30");
  await scene.equalsTables();
  await run.stop();
});

test("a slot that keeps too much is dropped also where nothing comes; what it had is filled anew", async () => {
  await using scene = await opened();
  const slot = await followed(scene);
  const before = fillings(scene);
  await scene.sql(MISSED);
  // Of no table: it keeps the slot back, and a run has nothing to do.
  await scene.sql(
    "SELECT length(pg_logical_emit_message(false, 'x', repeat('x', 40000000))::text)",
  );
  await using run = scene.start({ source: { capture: "wal", wal: { maxSlotLag: "32MiB" } } });
  match(await alarm(run, "SLOT_DROPPED"), /kept [\d.]+ [MG]B of WAL/);
  match(await alarm(run, "CAPTURE_GAP"), /slot is gone/);
  await scene.equalsTables();
  notEqual(fillings(scene), before);
  equal((await slotOf(scene.db))?.name, slot);
  await run.stop();
});

test("a slot that no table needs any more is let go of as soon as it is drained, and that is said", async () => {
  await using scene = await openScene(sceneDdl());
  await allowWal(scene.db);
  await followed(scene);
  await scene.sql("DELETE FROM player WHERE id = 50");
  await using run = scene.start({ source: { capture: "updated_at" } });
  match(await alarm(run, "SLOT_UNUSED"), /`driftless wal drop --apply` removes it/);
  await slotIsFree(scene.db);
  await scene.sql("UPDATE team SET name = 'stamped'");
  await scene.equalsTables();
  await run.stop();
});

test("a slot that another process holds is waited for; nothing is missed, nothing is filled anew", async () => {
  await using scene = await opened();
  const slot = await followed(scene);
  const before = fillings(scene);
  const other = await openWalSession({
    url: scene.db.readerUrl,
    rowSecurity: "refuse",
    applicationName: "another",
    slot,
    publication: "driftless",
    from: 0n,
  }, new AbortController().signal);
  await scene.sql(MISSED);
  await using run = scene.start(SETUP);
  const held = await run.waitFor("retry");
  equal(held.code, "SLOT_ACTIVE");
  await other[Symbol.asyncDispose]();
  await scene.equalsTables();
  equal(fillings(scene), before);
  await run.stop();
});

test("a table that left the publication and came back is a gap of that table alone", async () => {
  await using scene = await opened();
  await followed(scene);
  const [teams, players] = [scene.seed("teams"), scene.seed("players")];
  const wrongly = `ALTER PUBLICATION driftless DROP TABLE team; DELETE FROM team WHERE id = 7;
    UPDATE team SET name = 'unseen'; ALTER PUBLICATION driftless ADD TABLE team`;
  await scene.sql(wrongly);
  {
    await using run = await started(scene);
    await scene.equalsTables();
    match(await alarm(run, "CAPTURE_GAP"), /public\.team/);
    // Both are made of it.
    notEqual(scene.seed("teams"), teams);
    notEqual(scene.seed("players"), players);
    // And under a run, which looks at its publication now and then.
    const from = run.events.length;
    await eventually("a gap", async () => {
      await scene.sql(wrongly.replace("7", "8").replace("unseen", "unseen again"));
      await alarm(run, "CAPTURE_GAP", from, 1_000);
      return true;
    });
    await scene.equalsTables();
    await run.stop();
  }
});

test("a run that is stopped, crashed and started again at any time goes on where its checkpoint is", async () => {
  await using scene = await opened();
  await followed(scene);
  const before = fillings(scene);
  await scene.sql(
    `INSERT INTO player SELECT g, NULL, 'many', 1 FROM generate_series(1000, 5999) g`,
  );
  for (const batches of [0, 3, 20]) {
    await using run = scene.start(SETUP);
    await run.waitFor("anchored");
    await eventually(
      "batches",
      () => Promise.resolve(run.events.filter(({ type }) => type === "batch").length >= batches),
    );
    await run.crash();
    await scene.sql(`UPDATE player SET team_id = 3 WHERE id = ${1000 + batches}`);
  }
  await using run = scene.start(SETUP);
  await scene.equalsTables();
  equal(fillings(scene), before);
  await slotAdvances(scene.db);
  await run.stop();
});

test("what is written and not yet in a checkpoint is not confirmed: a crash then is no gap", async () => {
  await using scene = await opened();
  await followed(scene);
  const before = fillings(scene);
  {
    await using run = await started(scene);
    const gate = hold();
    scene.sink.script({ kind: "hold", hold: gate }, { on: "saveCheckpoint", times: Infinity });
    await scene.sql("UPDATE team SET name = 'held'; DELETE FROM player WHERE id = 40");
    await gate.reached;
    await scene.equalsTables();
    const slot = await slotOf(scene.db);
    // Acknowledged, over and over.
    for (const name of ["a", "b", "c"]) {
      await scene.sql(`UPDATE team SET name = '${name}'`);
      await scene.equalsTables();
    }
    equal((await slotOf(scene.db))?.confirmed, slot?.confirmed);
    await run.crash();
    scene.sink.unscript();
  }
  await scene.sql("DELETE FROM player WHERE id = 41");
  await using run = await started(scene);
  await scene.equalsTables();
  ok(!told(run).includes("CAPTURE_GAP"), told(run).join());
  equal(fillings(scene), before);
  await run.stop();
});
