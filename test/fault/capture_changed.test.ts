import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import {
  alarm,
  captures,
  LOGGED,
  openScene,
  PLAYERS,
  sceneDdl,
  SHIRTS,
  STAMPED,
  TEAMS,
  told,
} from "./capture_scene.ts";

describe("a capture that changes between starts", () => {
  for (const major of [18, 15] as const) {
    test(`from stamps to the changelog on Postgres ${major}: nothing is lost, nothing is filled anew, across crashes in the drain`, async () => {
      await using scene = await openScene(sceneDdl(), major);
      {
        await using run = scene.start();
        await run.waitFor("caughtUp");
        deepEqual(captures(run), STAMPED);
        await run.stop();
      }
      const seeds = ["teams", "players"].map(scene.seed);
      await scene.sql(`UPDATE player SET name = 'before ' || id WHERE id <= 10;
        INSERT INTO player VALUES (200, 3, 'before', 1)`);
      // Open across the installation of the other table, and committed after it.
      const late = await scene.db.sql.reserve();
      await late.unsafe("BEGIN; UPDATE team SET name = 'late' WHERE id = 4").simple();
      await scene.changelog.install({
        indexes: {
          players: { table: "player", fields: { id: "long", name: "keyword", team_id: "long" } },
        },
      });
      await late.unsafe("UPDATE player SET name = 'late' WHERE id = 50; COMMIT").simple();
      late.release();
      await scene.changelog.install();
      // What stamps show: the changelog follows from its start on.
      await scene.sql(`UPDATE team SET name = 'after ' || id WHERE id > 10;
        INSERT INTO player VALUES (201, 3, 'after', 1); UPDATE player SET name = 'after' WHERE id = 70`);
      for (const batch of [1, 2, 3]) {
        // What is built is never written: it is gone in the midst of the drain.
        await using run = scene.start({
          wrap: (capture) => ({
            ...capture,
            async *live(signal) {
              let left = batch * 3;
              for await (const delivery of capture.live(signal)) {
                if (left-- === 0) throw new Error("crashed");
                yield delivery;
              }
            },
          }),
        });
        ok(await run.outcome() instanceof Error);
      }
      await using run = scene.start();
      await run.waitFor("caughtUp");
      deepEqual(captures(run), LOGGED);
      await scene.equalsTables();
      await scene.sql(
        `DELETE FROM player WHERE id = 80; UPDATE player SET team_id = 9 WHERE id < 20;
        UPDATE team SET name = 'x' WHERE id = 1`,
      );
      await scene.equalsTables();
      deepEqual(["teams", "players"].map(scene.seed), seeds);
      await eventually("the end of the drain", async () => {
        const { streams } = cursorOf(scene.sink.storage.checkpoint?.cursor);
        return Object.keys(streams).join() === "changelog";
      });
      await run.stop();
    });
  }

  test("from the changelog to stamps: what was in the log, deletes too, arrives first", async () => {
    await using scene = await openScene(sceneDdl());
    await scene.changelog.install();
    {
      await using run = scene.start();
      await run.waitFor("caughtUp");
      deepEqual(captures(run), LOGGED);
      await run.stop();
    }
    const seeds = ["teams", "players"].map(scene.seed);
    await scene.sql(`DELETE FROM player WHERE id <= 30; DELETE FROM team WHERE id = 20;
      UPDATE player SET team_id = 3 WHERE id BETWEEN 40 AND 50`);
    const source = { capture: "updated_at" };
    {
      await using run = scene.start({ source });
      await run.waitFor("caughtUp");
      deepEqual(captures(run), STAMPED);
      await alarm(run, "LEVEL_LOST");
      await scene.equalsTables();
      await scene.sql("UPDATE player SET name = 'stamped' WHERE id = 41");
      await scene.equalsTables();
      await run.stop();
    }
    const [teams, players] = ["teams", "players"].map(scene.seed);
    // Stamps don't show which team a player left: documents that name no players are filled anew.
    ok(teams !== seeds[0]);
    equal(players, seeds[1]);
    deepEqual(Object.keys(cursorOf(scene.sink.storage.checkpoint?.cursor).streams), ["updated_at"]);
  });

  test("a column joins the config that the triggers don't record: stamps follow it, until it is installed", async () => {
    await using scene = await openScene(sceneDdl());
    await scene.changelog.install();
    {
      await using run = scene.start();
      await run.waitFor("caughtUp");
      await run.stop();
    }
    const indexes = { teams: TEAMS, players: SHIRTS };
    await scene.sql("UPDATE player SET shirt = 77 WHERE id = 7");
    await using run = scene.start({ indexes });
    await run.waitFor("caughtUp");
    deepEqual(captures(run), { ...LOGGED, "public.player": "L2 updated_at" });
    const level = await run.waitFor("table", ({ level }) => level.table === "public.player");
    ok(/doesn't look at "shirt"/.test(level.level.why), level.level.why);
    ok(level.level.sql.some((each) => each.includes("driftless changelog install")));
    ok(told(run).includes("CHANGELOG_LACKS"));
    await scene.sql("UPDATE player SET shirt = 78 WHERE id = 8");
    await scene.equalsTables(indexes);
    const seed = scene.seed("players");
    await scene.changelog.install({ indexes });
    await scene.sql("UPDATE player SET shirt = 79 WHERE id = 9; DELETE FROM player WHERE id = 10");
    await eventually(
      "the changelog",
      async () => captures(run)["public.player"] === "L4 changelog",
    );
    await scene.sql("UPDATE player SET shirt = 80 WHERE id = 11; DELETE FROM player WHERE id = 12");
    await eventually(
      "the delete",
      async () => scene.sink.documents("players").get("12")?.body === null,
    );
    equal(scene.seed("players"), seed);
    // Deleted while stamps followed it: the level's own gap, if it was before the changelog's anchor.
    await scene.sql("INSERT INTO player VALUES (10, 1, 'again', 1)");
    await scene.equalsTables(indexes);
    await run.stop();
  });

  test("an index that left the config for a while is filled anew when it is back, under the changelog", async () => {
    await using scene = await openScene(sceneDdl());
    await scene.changelog.install();
    const start = async (indexes: Readonly<Record<string, unknown>>) => {
      await using run = scene.start({ indexes });
      await run.waitFor("caughtUp");
      await scene.equalsTables(indexes);
      await run.stop();
    };
    const solo = { teams: { table: "team", fields: { id: "long", name: "keyword" } } };
    const both = { teams: TEAMS, players: PLAYERS };
    await start(both);
    const seed = scene.seed("players");
    {
      await using run = scene.start({ indexes: solo });
      await run.waitFor("caughtUp");
      await scene.sql(
        `DELETE FROM player WHERE id <= 20; UPDATE player SET name = 'x' WHERE id = 30;
        UPDATE team SET name = 'y' WHERE id = 3`,
      );
      await eventually(
        "the change",
        async () => scene.sink.documents("teams").get("3")?.body?.includes('"y"'),
      );
      await run.stop();
    }
    await start(both);
    notEqual(scene.seed("players"), seed);
  });
});

function cursorOf(cursor: string | undefined): { streams: Record<string, unknown> } {
  return JSON.parse(cursor ?? "{}") as { streams: Record<string, unknown> };
}
