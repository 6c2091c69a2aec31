import { deepEqual, equal, match, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import { FatalError } from "../../src/core/errors.ts";
import { eventually } from "../support/eventually.ts";
import { alarm, openScene, PLAYERS, type Scene, sceneDdl, TEAMS, told } from "./capture_scene.ts";

const MANY = `INSERT INTO player SELECT g, NULL, 'many', 1 FROM generate_series(1001, 6000) g`;
const FEW = { players: PLAYERS };

/** Keys are compared that often. */
function keys(intervalMs: number, more: { massDeletes?: boolean; refused?: string } = {}) {
  return { options: { keys: { intervalMs, dutyCycle: 0.5, massDeletes: false, ...more } } };
}

async function filled(more = ""): Promise<Scene> {
  const scene = await openScene(sceneDdl() + more);
  await using run = scene.start({ indexes: FEW });
  await run.waitFor("caughtUp");
  await run.stop();
  return scene;
}

describe("keys that are compared, below L4", () => {
  test("a row that was deleted is gone after the interval, in run, without a change of anything else", async () => {
    await using scene = await filled();
    await using run = scene.start({ indexes: FEW, ...keys(300) });
    await run.waitFor("swept");
    await scene.sql("DELETE FROM player WHERE id <= 10");
    await run.waitFor("swept", ({ orphans }) => orphans === 10);
    await scene.equalsTables(FEW);
    await run.stop();
  });

  test("a row that was deleted is gone by the end of sync, when keys are due; not before", async () => {
    await using scene = await filled();
    await scene.sync({ indexes: FEW, ...keys(3_600_000) });
    await scene.sql("DELETE FROM player WHERE id <= 10");
    await scene.sync({ indexes: FEW, ...keys(3_600_000) });
    equal([...scene.sink.documents("players").values()].filter((d) => d.body === null).length, 0);
    const run = await scene.sync({ indexes: FEW, ...keys(1) });
    ok(run.events.some((event) => event.type === "swept" && event.orphans === 10));
    await scene.equalsTables(FEW);
  });

  test("5,000 deleted rows are refused: run says so and goes on, sync ends with it, massDeletes lets them go", async () => {
    await using scene = await filled(MANY);
    await scene.sql("DELETE FROM player WHERE id > 1000");
    {
      await using run = scene.start({ indexes: FEW, ...keys(300) });
      match(await alarm(run, "MASS_DELETE_REFUSED"), /5000 documents of index "players"/);
      await scene.sql("UPDATE player SET name = 'goes on' WHERE id = 1");
      await eventually(
        "a change behind it",
        async () => scene.sink.documents("players").get("1")?.body?.includes("goes on"),
      );
      const seen = run.events.length;
      await alarm(run, "MASS_DELETE_REFUSED", seen);
      await run.stop();
    }
    await scene.sql(`UPDATE player SET name = 'before it' WHERE id = 2;
      INSERT INTO player VALUES (7001, 1, 'unstamped', 1, '2001-01-01')`);
    for (const _ of [1, 2]) {
      const error = await scene.sync({ indexes: FEW, ...keys(1) }).then(() => undefined, (e) => e);
      ok(error instanceof FatalError, String(error));
      equal(error.code, "MASS_DELETE_REFUSED");
      match(error.hint, /--allow-mass-delete/);
      const { body } = scene.sink.documents("players").get("2") ?? {};
      ok(body?.includes("before it"), "what was followed is written all the same");
      ok(scene.sink.documents("players").get("7001")?.body, "and what was missing");
    }
    await scene.sync({ indexes: FEW, ...keys(1, { massDeletes: true }) });
    await scene.equalsTables(FEW);
  });

  test("nothing is compared where a policy may hide rows: said once, and nothing is deleted", async () => {
    await using scene = await filled();
    await scene.sql(`ALTER TABLE player ENABLE ROW LEVEL SECURITY;
      CREATE POLICY half ON player USING (id > 50)`);
    const refused = keys(100, { refused: "rows may be hidden" });
    await using run = scene.start({ indexes: FEW, source: { rowSecurity: "allow" }, ...refused });
    await alarm(run, "KEY_SWEEP_REFUSED");
    await run.waitFor("caughtUp");
    await scene.sql("UPDATE player SET name = 'seen' WHERE id = 60");
    await eventually(
      "a change",
      async () => scene.sink.documents("players").get("60")?.body?.includes("seen"),
    );
    equal(told(run).filter((code) => code === "KEY_SWEEP_REFUSED").length, 1);
    await run.stop();
    await scene.sync({ indexes: FEW, source: { rowSecurity: "allow" }, ...refused });
  });
});

describe("rows that are swept", () => {
  const both = { teams: TEAMS, players: PLAYERS };
  const source = { sweeps: { keys: "1h", rows: "1h", dutyCycle: 1 } };

  test("tables without a stamp, followed by sync alone: every change is there by its end", async () => {
    await using scene = await openScene(sceneDdl({ stamped: false }));
    const run = await scene.sync({ source });
    deepEqual(
      run.events.flatMap((event) => event.type === "table" ? event.level.capture : []),
      ["sweep", "sweep"],
    );
    await scene.equalsTables(both);
    for (let round = 1; round <= 3; round++) {
      await scene.sql(`UPDATE player SET name = 'round ${round}' WHERE id % 3 = ${round % 3};
        UPDATE team SET name = 'round ${round}' WHERE id = ${round};
        INSERT INTO player VALUES (${200 + round}, ${round}, 'new', 1)`);
      await scene.sync({ source });
      // Not soon: by now.
      await scene.equalsTables(both, { atOnce: true });
    }
  });

  test("a row that was changed without its stamp arrives by the end of the sync whose sweep is due", async () => {
    await using scene = await openScene(sceneDdl());
    await scene.sync({ source });
    await scene.sql(`ALTER TABLE player DISABLE TRIGGER touch;
      UPDATE player SET name = 'unstamped' WHERE id <= 10; ALTER TABLE player ENABLE TRIGGER touch`);
    const due = { source: { sweeps: { ...source.sweeps, rows: "1ms" } } };
    await scene.sync({ source: due.source });
    await scene.equalsTables(both, { atOnce: true });
  });

  test("tables that get stamps, and lose them, go from sweeps to polling and back, and lose nothing", async () => {
    await using scene = await openScene(sceneDdl({ stamped: false }));
    await scene.sync({ source });
    await scene.sql(`UPDATE player SET name = 'swept' WHERE id = 1;
      ALTER TABLE player ADD COLUMN updated_at timestamptz NOT NULL DEFAULT '2001-01-01';
      CREATE INDEX ON player (updated_at, id);
      CREATE TRIGGER touch BEFORE UPDATE ON player FOR EACH ROW EXECUTE FUNCTION touch();
      UPDATE player SET name = 'stamped' WHERE id = 2`);
    await scene.sync({ source });
    await scene.equalsTables(both, { atOnce: true });
    await scene.sql(`UPDATE player SET name = 'stamped, then swept' WHERE id = 3;
      DROP INDEX player_updated_at_id_idx; DROP TRIGGER touch ON player;
      ALTER TABLE player DROP COLUMN updated_at; UPDATE player SET name = 'swept' WHERE id = 4`);
    await scene.sync({ source });
    await scene.equalsTables(both, { atOnce: true });
  });
});
