import { equal, match, notEqual, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import type { EngineRun } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import {
  alarm,
  captures,
  LOGGED,
  openScene,
  restarts,
  type Scene,
  sceneDdl,
  type SceneSetup,
  STAMPED,
  told,
} from "./capture_scene.ts";

/** A run whose tables are all logged, and that has caught up. */
async function logged(scene: Scene, setup: SceneSetup = {}): Promise<EngineRun> {
  await scene.changelog.install();
  const run = scene.start(setup);
  await run.waitFor("caughtUp");
  await follows(run, LOGGED);
  return run;
}

/** Resolves when the run says that this is how tables are followed, and nothing else is under way. */
async function follows(run: EngineRun, how: Readonly<Record<string, string>>): Promise<void> {
  await eventually(`tables followed by ${JSON.stringify(how)}`, () =>
    Promise.resolve(
      JSON.stringify(Object.entries(captures(run)).sort()) ===
        JSON.stringify(Object.entries(how).sort()),
    ));
  await caughtUpAgain(run);
}

/** Behind the last beginning of a run. */
async function caughtUpAgain(run: EngineRun): Promise<void> {
  await eventually("a run that has caught up", () => {
    const anchored = run.events.findLastIndex(({ type }) => type === "anchored");
    const caughtUp = run.events.findLastIndex(({ type }) => type === "caughtUp");
    const failed = run.events.findLastIndex(({ type }) => type === "retry");
    return Promise.resolve(anchored > failed && caughtUp > anchored);
  });
}

const PLAYER_STAMPED = { ...LOGGED, "public.player": "L2 updated_at" };

describe("a level that is lost while it runs", () => {
  for (const major of [18, 15] as const) {
    test(`a trigger is disabled on Postgres ${major}: an alarm, the stamp goes on, what the log missed is filled; an installation mends it`, async () => {
      await using scene = await openScene(sceneDdl(), major);
      await using run = await logged(scene);
      const seed = scene.seed("players");
      await scene.sql(`ALTER TABLE player DISABLE TRIGGER USER;
        DELETE FROM player WHERE id <= 10;
        UPDATE player SET name = 'unstamped', updated_at = '2001-01-01' WHERE id = 20;
        INSERT INTO player VALUES (300, 3, 'new', 1, '2001-01-01');
        ALTER TABLE player ENABLE TRIGGER touch`);
      match(await alarm(run, "LEVEL_LOST"), /public\.player was followed by the changelog/);
      await alarm(run, "CAPTURE_GAP");
      ok(told(run).includes("CHANGELOG_BROKEN"));
      await follows(run, PLAYER_STAMPED);
      await scene.equalsTables();
      notEqual(scene.seed("players"), seed);
      await scene.sql("UPDATE player SET name = 'by its stamp' WHERE id = 30");
      await scene.equalsTables();
      await scene.changelog.install();
      await follows(run, LOGGED);
      const mended = scene.seed("players");
      await scene.sql(
        "DELETE FROM player WHERE id = 40; UPDATE player SET team_id = 1 WHERE id = 41",
      );
      await scene.equalsTables();
      equal(scene.seed("players"), mended);
      await run.stop();
    });
  }

  test("a trigger that is disabled and enabled again between two looks is seen too", async () => {
    await using scene = await openScene(sceneDdl());
    await using run = await logged(scene);
    await scene.sql(`BEGIN; ALTER TABLE player DISABLE TRIGGER USER;
      DELETE FROM player WHERE id <= 10;
      ALTER TABLE player ENABLE TRIGGER USER; COMMIT`);
    await alarm(run, "LEVEL_LOST");
    await follows(run, PLAYER_STAMPED);
    await scene.equalsTables();
    await run.stop();
  });

  test("disabled, enabled and installed again while nothing ran: filled anew", async () => {
    await using scene = await openScene(sceneDdl());
    {
      await using run = await logged(scene);
      await run.stop();
    }
    await scene.sql(`ALTER TABLE player DISABLE TRIGGER USER; DELETE FROM player WHERE id <= 10;
      ALTER TABLE player ENABLE TRIGGER USER`);
    await scene.changelog.install();
    await using run = scene.start();
    await alarm(run, "CAPTURE_GAP");
    await follows(run, LOGGED);
    await scene.equalsTables();
    await run.stop();
  });

  const losses: readonly { name: string; lose: (scene: Scene) => Promise<void> }[] = [
    {
      name: "SELECT on the log is revoked",
      lose: (scene) => scene.sql(`REVOKE SELECT ON driftless.log FROM ${scene.db.readerRole}`),
    },
    { name: "the changelog is removed", lose: (scene) => scene.changelog.remove() },
    { name: "its schema is dropped", lose: (scene) => scene.sql("DROP SCHEMA driftless CASCADE") },
  ];
  for (const { name, lose } of losses) {
    test(`${name}: an alarm, stamps go on, and nothing runs in circles; installed again it is back`, async () => {
      await using scene = await openScene(sceneDdl());
      await using run = await logged(scene);
      await scene.sql("BEGIN; DELETE FROM player WHERE id <= 10; COMMIT");
      await lose(scene);
      await alarm(run, "LEVEL_LOST");
      await follows(run, STAMPED);
      await scene.sql("UPDATE team SET name = 'by its stamp' WHERE id = 3");
      await scene.equalsTables();
      // `remove` goes table by table.
      ok(restarts(run) <= 5, `${restarts(run)} restarts`);
      await scene.changelog.install();
      await follows(run, LOGGED);
      await scene.sql("DELETE FROM player WHERE id BETWEEN 20 AND 30");
      await scene.equalsTables();
      await run.stop();
    });
  }
});

describe("a truncate under the changelog", () => {
  const truncates = {
    "of the rows of an index": "TRUNCATE player",
    "of rows that show in others, new ones in the same transaction": `BEGIN;
      INSERT INTO player VALUES (400, 2, 'gone', 1); TRUNCATE player;
      INSERT INTO player VALUES (401, 2, 'stays', 1), (1, 5, 'first again', 1); COMMIT`,
    "of both, twice, with rows between": `TRUNCATE team, player;
      INSERT INTO team VALUES (1, 'one'); INSERT INTO player VALUES (1, 1, 'one');
      TRUNCATE player; INSERT INTO player VALUES (2, 1, 'two')`,
  };
  for (const [name, statements] of Object.entries(truncates)) {
    test(`${name}: while it runs, and while it is stopped`, async () => {
      await using scene = await openScene(sceneDdl());
      {
        await using run = await logged(scene);
        await scene.sql(statements);
        await scene.equalsTables();
        await scene.sql("INSERT INTO player VALUES (500, 1, 'later', 1)");
        await scene.equalsTables();
        ok(restarts(run) <= 3, `${restarts(run)} restarts`);
        await run.stop();
      }
      await scene.sql(
        `INSERT INTO team VALUES (99, 'new'); INSERT INTO player VALUES (999, 99, 'new')`,
      );
      await scene.sql(statements);
      {
        await using run = scene.start();
        await run.waitFor("caughtUp");
        await scene.equalsTables();
        ok(told(run).includes("CAPTURE_GAP"));
        await run.stop();
      }
      const seed = scene.seed("players");
      await using run = scene.start();
      await run.waitFor("caughtUp");
      await scene.equalsTables();
      equal(scene.seed("players"), seed, "once is enough");
      await run.stop();
    });
  }
});

describe("a consumer of the changelog", () => {
  const brief = { changelog: { retention: "0s" } };
  const mine = { source: { changelog: { ...brief.changelog, consumer: "mine" } } };
  /** What another consumer, which has passed everything, says. */
  const trim = (scene: Scene) =>
    scene.sql(`SELECT driftless.acknowledge('other', pg_current_snapshot()::text, '0')`);
  const rows = async (scene: Scene) =>
    Number((await scene.db.sql`SELECT count(*) AS n FROM driftless.log`)[0]?.["n"]);

  test("that was forgotten while it was away, and its rows trimmed, fills its indexes anew", async () => {
    await using scene = await openScene(sceneDdl());
    {
      await using run = await logged(scene, mine);
      await run.stop();
    }
    const seed = scene.seed("players");
    await scene.sql("DELETE FROM player WHERE id <= 10");
    await scene.changelog.forget("mine");
    await trim(scene);
    equal(await rows(scene), 0);
    await using run = scene.start(mine);
    await alarm(run, "CAPTURE_GAP");
    await run.waitFor("caughtUp");
    await scene.equalsTables();
    notEqual(scene.seed("players"), seed);
    await run.stop();
  });

  test("whose rows are trimmed under it while it runs fills its indexes anew", async () => {
    await using scene = await openScene(sceneDdl());
    await using run = await logged(scene, mine);
    const seed = scene.seed("players");
    await scene.sql("DELETE FROM player WHERE id <= 10; DELETE FROM driftless.consumers");
    // In one transaction: it never saw these rows.
    await scene.sql(`BEGIN; DELETE FROM player WHERE id <= 20;
      UPDATE driftless.trimmed SET xid = (pg_current_xact_id()::text::bigint + 1)::text::xid8;
      DELETE FROM driftless.log; COMMIT`);
    await alarm(run, "CAPTURE_GAP");
    await scene.equalsTables();
    notEqual(scene.seed("players"), seed);
    await run.stop();
  });

  test("that is away for ever holds the log, which the status says, until it is forgotten", async () => {
    await using scene = await openScene(sceneDdl());
    {
      await using run = await logged(scene, mine);
      await run.stop();
    }
    await scene.sql("UPDATE player SET name = 'x'");
    await scene.sql("UPDATE driftless.consumers SET seen_at = now() - interval '3 days'");
    await trim(scene);
    ok(await rows(scene) >= 100);
    const { consumers } = await scene.changelog.status(mine);
    const away = consumers.find(({ name }) => name === "mine");
    equal(away?.unseen, true);
    equal(away?.age, "3 days");
    equal(away?.waiting, await rows(scene));
    await scene.changelog.forget("mine");
    await trim(scene);
    equal(await rows(scene), 0);
  });
});

describe("partitions under a capture", () => {
  for (const capture of ["changelog", "updated_at"] as const) {
    const source = capture === "changelog" ? {} : { capture };
    const attach = `CREATE TABLE player_more (LIKE player INCLUDING DEFAULTS);
      INSERT INTO player_more SELECT g, 1 + g % 20, 'more ' || g, 1, '2001-01-01' FROM generate_series(2000, 2010) g;
      ALTER TABLE player ATTACH PARTITION player_more FOR VALUES FROM (2000) TO (3000)`;
    const open = async () => {
      const scene = await openScene(sceneDdl({ partitioned: true }));
      if (capture === "changelog") await scene.changelog.install();
      await scene.sql(
        "INSERT INTO player SELECT g, 3, 'high', 1 FROM generate_series(1000, 1010) g",
      );
      return scene;
    };

    test(`attached and detached while ${capture} follows the table: documents are the tables'`, async () => {
      await using scene = await open();
      await using run = scene.start({ source });
      await run.waitFor("caughtUp");
      await scene.equalsTables();
      await scene.sql(attach);
      if (capture === "changelog") {
        // A trigger for TRUNCATE isn't inherited.
        await alarm(run, "LEVEL_LOST");
        await follows(run, PLAYER_STAMPED);
        await scene.equalsTables();
        await scene.changelog.install();
        await follows(run, LOGGED);
      }
      await scene.equalsTables();
      await scene.sql("UPDATE player SET name = 'changed' WHERE id IN (2001, 1001, 1)");
      await scene.equalsTables();
      await scene.sql("ALTER TABLE player DETACH PARTITION player_high");
      await scene.equalsTables();
      await caughtUpAgain(run);
      await run.stop();
    });

    test(`a partition that is detached, written to and attached again at once, under ${capture}`, async () => {
      await using scene = await open();
      await using run = scene.start({ source });
      await run.waitFor("caughtUp");
      await scene.sql(`BEGIN; ALTER TABLE player DETACH PARTITION player_high;
        UPDATE player_high SET name = 'written apart', updated_at = '2001-01-01' WHERE id = 1003;
        DELETE FROM player_high WHERE id = 1004;
        ALTER TABLE player ATTACH PARTITION player_high FOR VALUES FROM (1000) TO (2000); COMMIT`);
      await scene.equalsTables();
      await run.stop();
    });
  }
});
