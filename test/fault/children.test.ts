/**
 * Children that move from one parent to another where only their new one can be seen (L2): the old
 * parent is found in the sink by its refs, whatever is under way meanwhile, and the change is
 * acknowledged only when that parent is right too.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import type { Change } from "../../src/core/change.ts";
import type { WriteMode } from "../../src/core/document.ts";
import { within } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import { hold, type ScriptedSink, type SinkCall } from "../support/scripted_sink.ts";
import {
  captures,
  LOGGED,
  openScene,
  type Scene,
  sceneDdl,
  type SceneSetup,
  STAMPED,
  TEAMS,
} from "./capture_scene.ts";

const INDEXES = { teams: TEAMS };
const FROM = 3;
const TO = 20;
/** Of team FROM. */
const MOVING = 2;
const NEW = 500;

/** Stamps of long ago: no poll that looks back a little delivers these rows once more. */
const DDL = `${sceneDdl()}${
  ["team", "player"].map((table) => `
ALTER TABLE ${table} DISABLE TRIGGER touch;
UPDATE ${table} SET updated_at = '2000-01-01';
ALTER TABLE ${table} ENABLE TRIGGER touch;`).join("")
}`;

describe("a child that moves and is only seen where it is now", () => {
  test("leaves its old parent, and is then acknowledged", async () => {
    await using scene = await openScene(DDL);
    const watch = watchScene(scene);
    await using engine = scene.start(watch.setup);
    await engine.waitFor("caughtUp");
    deepEqual(captures(engine), STAMPED);
    deepEqual(teamsOf(scene.sink, MOVING), [FROM]);
    await scene.sql(`UPDATE player SET team_id = ${TO} WHERE id = ${MOVING}`);
    await watch.acked(MOVING);
    deepEqual(teamsOf(scene.sink, MOVING), [TO]);
    await scene.sql(`UPDATE player SET team_id = 1 + (team_id * 7) % 20 WHERE id % 3 = 0;
      UPDATE player SET team_id = NULL WHERE id % 10 = 1; UPDATE player SET team_id = 1 WHERE id = 11`);
    await scene.equalsTables(INDEXES);
    await engine.stop();
    watch.rightAtEachAck();
  });

  test("while the batch before, built with it at its old parent, is on its way", async () => {
    await using scene = await openScene(DDL);
    // A table that is polled isn't read again before what was read is acknowledged.
    const source = {
      tables: { team: { capture: "changelog" }, player: { capture: "updated_at" } },
    };
    await scene.changelog.install({ indexes: INDEXES, source });
    const watch = watchScene(scene);
    await using engine = scene.start({ ...watch.setup, source });
    await engine.waitFor("caughtUp");
    deepEqual(captures(engine), { ...LOGGED, "public.player": "L2 updated_at" });
    const gate = hold();
    scene.sink.script({ kind: "hold", hold: gate }, { when: writes("live", FROM, NEW) });
    // Its stamp is of long ago: only the build of its team shows it.
    await scene.sql(`INSERT INTO player (id, team_id, name, updated_at)
      VALUES (${NEW}, ${FROM}, 'new', '2000-01-01'); UPDATE team SET name = 'x' WHERE id = ${FROM}`);
    await within("the held batch", gate.reached);
    const asked = watch.asked();
    const builds = watch.builds();
    await scene.sql(`UPDATE player SET team_id = ${TO} WHERE id = ${NEW}`);
    await eventually("its batch", async () => watch.builds() > builds || watch.asked() > asked);
    equal(watch.asked(), asked, "looked up while a document built before is on its way");
    gate.release();
    await watch.acked(NEW);
    await scene.equalsTables(INDEXES, { atOnce: true });
    await engine.stop();
    watch.rightAtEachAck();
  });

  test("while a seed's slice, built with it at its old parent, is on its way", async () => {
    await using scene = await openScene(DDL);
    const watch = watchScene(scene);
    const gate = hold();
    scene.sink.script({ kind: "hold", hold: gate }, { when: writes("fill", FROM, MOVING) });
    const options = { seed: { parallel: 1, chunk: 50 } };
    await using engine = scene.start({ ...watch.setup, options });
    await within("the held slice", gate.reached);
    await watch.movesMeanwhile(scene);
    gate.release();
    await watch.acked(MOVING);
    deepEqual(teamsOf(scene.sink, MOVING), [TO]);
    await engine.waitFor("caughtUp");
    await scene.equalsTables(INDEXES);
    await engine.stop();
    watch.rightAtEachAck();
  });

  test("while a repair of keys, built with it at its old parent, is on its way", async () => {
    await using scene = await openScene(DDL);
    const watch = watchScene(scene);
    const keys = { intervalMs: 50, dutyCycle: 1, massDeletes: false };
    await using engine = scene.start({ ...watch.setup, options: { keys } });
    await engine.waitFor("caughtUp");
    await engine.waitFor("swept");
    const gate = hold();
    scene.sink.script({ kind: "hold", hold: gate }, { when: writes("fill", FROM, MOVING) });
    scene.sink.storage.served.get("teams")?.documents.delete(String(FROM));
    await within("the held repair", gate.reached);
    await watch.movesMeanwhile(scene);
    gate.release();
    await watch.acked(MOVING);
    await scene.equalsTables(INDEXES, { atOnce: true });
    await engine.stop();
    watch.rightAtEachAck();
  });

  test("and the process dies between the two writes", async () => {
    await using scene = await openScene(DDL);
    const watch = watchScene(scene);
    const gate = hold();
    {
      await using engine = scene.start(watch.setup);
      await engine.waitFor("caughtUp");
      scene.sink.script({ kind: "hold", hold: gate }, { when: writesWithout(FROM, MOVING) });
      await scene.sql(`UPDATE player SET team_id = ${TO} WHERE id = ${MOVING}`);
      await within("the held second write", gate.reached);
      deepEqual(teamsOf(scene.sink, MOVING), [FROM, TO]);
      equal(watch.acks(MOVING), 0);
      await engine.crash();
    }
    scene.sink.unscript();
    await using engine = scene.start(watch.setup);
    await watch.acked(MOVING);
    deepEqual(teamsOf(scene.sink, MOVING), [TO]);
    equal(engine.events.some(({ type }) => type === "seedStarted"), false);
    await scene.equalsTables(INDEXES);
    await engine.stop();
    watch.rightAtEachAck();
  });

  test("while its index is filled anew beside the one that searches see", async () => {
    await using scene = await openScene(DDL);
    const { sink } = scene;
    {
      await using engine = scene.start({ indexes: INDEXES });
      await engine.waitFor("caughtUp");
      await engine.stop();
    }
    const watch = watchScene(scene);
    const gate = hold();
    sink.script({ kind: "hold", hold: gate }, { on: "markSeeded" });
    await using engine = scene.start({ ...watch.setup, options: { rebase: true } });
    await within("the filling's end", gate.reached);
    ok(sink.storage.filling.has("teams") && sink.storage.served.has("teams"));
    // As if the filling hadn't come to it yet.
    sink.storage.filling.get("teams")?.documents.delete(String(FROM));
    await scene.sql(`UPDATE player SET team_id = ${TO} WHERE id = ${MOVING}`);
    await watch.acked(MOVING);
    const served = sink.storage.served.get("teams")?.documents.get(String(FROM));
    equal(served?.body?.includes(`"id":${MOVING},`), false);
    gate.release();
    await engine.waitFor("caughtUp");
    await scene.equalsTables(INDEXES);
    await engine.stop();
  });

  test("is looked for in an index only when that was filled with refs", async () => {
    await using scene = await openScene(DDL);
    await scene.changelog.install({ indexes: INDEXES });
    {
      await using engine = scene.start({ indexes: INDEXES });
      await engine.waitFor("caughtUp");
      deepEqual(captures(engine), LOGGED);
      await engine.stop();
    }
    const { coverage } = scene.sink.storage.checkpoint ?? {};
    equal(coverage?.["teams"]?.refs, undefined);
    const seed = scene.seed("teams");
    const watch = watchScene(scene);
    const setup = { ...watch.setup, source: { capture: "updated_at" } };
    await using engine = scene.start(setup);
    await engine.waitFor("caughtUp");
    ok(scene.seed("teams") !== seed, "filled anew, with refs");
    deepEqual(scene.sink.storage.checkpoint?.coverage["teams"]?.refs, ["public.player"]);
    await scene.sql(`UPDATE player SET team_id = ${TO} WHERE id = ${MOVING}`);
    await watch.acked(MOVING);
    await scene.equalsTables(INDEXES, { atOnce: true });
    await engine.stop();
    // And once it has them, it goes on.
    await using again = scene.start(setup);
    await again.waitFor("caughtUp");
    equal(again.events.some(({ type }) => type === "seedStarted"), false);
    await again.stop();
    watch.rightAtEachAck();
  });
});

/** Writes of a team's document that shows the player. */
function writes(mode: WriteMode, team: number, player: number): (call: SinkCall) => boolean {
  return (call) => call.method === "write" && call.mode === mode && shows(call, team, player);
}

/** Live writes of a team's document that doesn't show the player. */
function writesWithout(team: number, player: number): (call: SinkCall) => boolean {
  return (call) =>
    call.method === "write" && call.mode === "live" &&
    call.documents.some(({ id }) => id === String(team)) && !shows(call, team, player);
}

function shows(
  { documents }: Extract<SinkCall, { readonly method: "write" }>,
  team: number,
  player: number,
): boolean {
  const body = documents.find(({ id }) => id === String(team))?.body;
  return body?.includes(`"id":${player},`) ?? false;
}

/** Sees what is asked of the sink, built and acknowledged. */
function watchScene({ sink }: Scene) {
  const acks = new Map<string, number>();
  const wrong: string[] = [];
  let builds = 0;
  const setup: SceneSetup = {
    indexes: INDEXES,
    sent: ({ text }) => {
      if (text.includes("row_to_json")) builds++;
    },
    wrap: (capture) => ({
      ...capture,
      async *live(signal) {
        for await (const delivery of capture.live(signal)) {
          yield {
            ...delivery,
            ack: () => {
              note(delivery.value);
              delivery.ack();
            },
          };
        }
      },
    }),
  };

  function note({ table, key: [id = ""] }: Change): void {
    if (table.name !== "player") return;
    acks.set(id, (acks.get(id) ?? 0) + 1);
    const teams = teamsOf(sink, Number(id));
    if (teams.length > 1) wrong.push(`player ${id} at teams ${teams}`);
  }

  return {
    setup,
    acks: (id: number) => acks.get(String(id)) ?? 0,
    acked: (id: number) =>
      eventually(`the acknowledgement of player ${id}`, async () => acks.has(String(id))),
    /** Lookups so far. */
    asked: () => sink.calls.filter(({ method }) => method === "holders").length,
    builds: () => builds,
    /** Moves it while a document built before is on its way: its new parent is written, no more. */
    async movesMeanwhile({ sql }: Scene): Promise<void> {
      const asked = this.asked();
      await sql(`UPDATE player SET team_id = ${TO} WHERE id = ${MOVING}`);
      await eventually(
        "the live write of its new parent",
        async () => teamsOf(sink, MOVING).includes(TO),
      );
      equal(this.asked(), asked, "looked up while a document built before is on its way");
      equal(this.acks(MOVING), 0);
    },
    /** No player was at two teams when a change of it was acknowledged. */
    rightAtEachAck(): void {
      deepEqual(wrong, []);
      ok(acks.size > 0);
    },
  };
}

/** The teams whose documents show the player. */
function teamsOf(sink: ScriptedSink, player: number): readonly number[] {
  return [...sink.documents("teams")].flatMap(([id, { body }]) => {
    const { players } = JSON.parse(body ?? `{"players":[]}`) as { players: { id: number }[] };
    return players.some((each) => each.id === player) ? Number(id) : [];
  }).toSorted((a, b) => a - b);
}
