import process from "node:process";
import { after, before, test } from "node:test";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { randomWorld } from "./documents/random_world.ts";
import { type Failure, runWorld } from "./documents/run.ts";
import { shrunk } from "./documents/shrink.ts";
import { told } from "./documents/tell.ts";
import type { World } from "./documents/world.ts";

/** `SEED=… HISTORIES=1` replays one; `SEED=… ` alone that one and those after it. */
const SEED = Number(process.env["SEED"] || Math.floor(Math.random() * 1e9));
const HISTORIES = Number(process.env["HISTORIES"] || 200);
/** Most of a history is waiting for a margin to pass. */
const AT_ONCE = 4;

let db: TestDatabase;
before(async () => {
  db = await createDatabase(`
    CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$`);
});
after(() => db[Symbol.asyncDispose]());

test("after any history of writes the documents are what the rows say, recomputed without SQL", async (t) => {
  t.diagnostic(`SEED=${SEED} HISTORIES=${HISTORIES}`);
  const startedAt = performance.now();
  let next = 0;
  let found: { readonly world: World; readonly failure: Failure } | undefined;
  const work = async (): Promise<void> => {
    while (next < HISTORIES && found === undefined) {
      const world = randomWorld(SEED + next++);
      const failure = await runWorld(db, world);
      if (failure !== undefined) found ??= { world, failure };
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  if (found === undefined) return t.diagnostic(`${HISTORIES} histories in ${seconds} s`);
  const { seed } = found.world;
  const least = await shrunk(found.world, found.failure, (world) => runWorld(db, world));
  throw new Error(
    `SEED=${seed} HISTORIES=1 replays this, found as history ${seed - SEED + 1} ` +
      `after ${seconds} s.\n${told(least.world, least.failure)}`,
  );
});
