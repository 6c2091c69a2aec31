import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { runApp } from "../support/app_run.ts";
import { runCheck } from "../support/check_run.ts";
import { inFolder } from "../support/in_folder.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import {
  addPeople,
  equalsTables,
  openSearchDocuments,
  PEOPLE_DDL,
  PEOPLE_INDEX,
  startWriter,
} from "../support/people.ts";
import { createDatabase } from "../support/postgres.ts";
import { eventually } from "../support/eventually.ts";

const USERS = 400;
const { tier: _, ...FEWER } = PEOPLE_INDEX.fields;
const WORDS = {
  analysis: { analyzer: { words: { type: "custom", tokenizer: "whitespace" } } },
  mappings: { properties: { name: { analyzer: "words" } } },
};

/** The same index over and over, each time with one thing changed, and what `check` says of that. */
const GENERATIONS: readonly { index: object; says: RegExp }[] = [
  {
    index: { ...PEOPLE_INDEX, fields: { ...FEWER, name: "keyword" } },
    says: /there is none yet/,
  },
  {
    index: { ...PEOPLE_INDEX, fields: { ...PEOPLE_INDEX.fields, name: "keyword" } },
    says: /in place, run doesn't\):\n\s+tier: a new field \(keyword\)\n/,
  },
  {
    index: PEOPLE_INDEX,
    says: /another index can have:\n\s+name: type: "keyword" → "text"\n/,
  },
  {
    index: { ...PEOPLE_INDEX, ...WORDS },
    says: /name: analyzer: unset → "words"\n\s+index\.analysis\.analyzer\.words: new\n/,
  },
];

test(
  "an index that is described otherwise is filled beside the old one, which searches see until it is full; under live writes nothing is lost",
  inFolder(async (folder) => {
    await using db = await createDatabase(PEOPLE_DDL);
    await addPeople(db.sql, 1, USERS);
    const { url } = await openSearchServer();
    const indexPrefix = uniquePrefix();
    const alias = `${indexPrefix}users`;
    const configOf = (users: object) => ({
      source: {
        url: db.readerUrl,
        poll: { minInterval: "5ms", maxInterval: "20ms", margin: "50ms" },
      },
      sinks: { search: { type: "opensearch", nodes: [url], indexPrefix } },
      pipeline: { seed: { parallel: 1, chunk: 40 } },
      indexes: { users },
    });
    await using writer = startWriter(db.sql, USERS);
    for (const [at, { index, says }] of GENERATIONS.entries()) {
      const checked = await runCheck(folder, configOf(index));
      match(checked.text, says);
      const text = JSON.stringify(configOf(index));
      const { config, problems } = await loadConfig("x.jsonc", {}, () => Promise.resolve(text));
      ok(config !== undefined, JSON.stringify(problems));
      const before = await behind(url, alias);
      equal(before.length, at === 0 ? 0 : 1);
      await using watch = at === 0 ? undefined : watchAlias(url, alias);
      {
        await using run = runApp(config);
        await run.caughtUp;
        await writer.wrote(20);
        const seeds = run.events.filter(({ type }) => type === "seedFinished");
        equal(seeds.length, 1, "it was filled once");
      }
      const seen = await watch?.stop() ?? [];
      const after = await behind(url, alias);
      equal(after.length, 1);
      ok(!before.includes(after[0] ?? ""), "it is another index");
      if (watch !== undefined) {
        // The old one as a whole, then the new one as a whole; nothing between and nothing else.
        deepEqual([...new Set(seen.map(({ physical }) => physical))], [...before, ...after]);
        deepEqual([...new Set(seen.map(({ documents }) => documents))], [USERS]);
        await eventually("the old one's end", async () => {
          const { status } = await fetch(`${url}/${before[0]}`, { method: "HEAD" });
          return status === 404;
        });
      }
    }
    await writer.stop();
    const last = GENERATIONS.at(-1);
    ok(last !== undefined);
    const text = JSON.stringify(configOf(last.index));
    const { config } = await loadConfig("x.jsonc", {}, () => Promise.resolve(text));
    ok(config !== undefined);
    await using run = runApp(config);
    await run.caughtUp;
    await equalsTables(db.sql, openSearchDocuments(url, alias));
    ok(!run.events.some(({ type }) => type === "seedStarted"), "what didn't change isn't filled");
    const kept = await runCheck(folder, configOf(last.index));
    match(kept.text, /is as it is to be \(searches see it\): run goes on with it/);
  }),
);

/** The physical indexes behind an alias. */
async function behind(url: string, alias: string): Promise<readonly string[]> {
  const reply = await fetch(`${url}/_alias/${alias}`);
  const found = await reply.json() as Record<string, unknown>;
  return reply.status === 404 ? [] : Object.keys(found);
}

interface Seen {
  readonly physical: string;
  readonly documents: number;
}

/** Searches an alias again and again, from before this returns until it is stopped. */
function watchAlias(url: string, alias: string): AsyncDisposable & { stop(): Promise<Seen[]> } {
  const seen: Seen[] = [];
  let going = true;
  const watching = (async () => {
    while (going) {
      const reply = await fetch(
        `${url}/${alias}/_search?size=1&track_total_hits=true&filter_path=hits`,
      );
      const { hits } = await reply.json() as {
        hits?: { total: { value: number }; hits: readonly { _index: string }[] };
      };
      const [hit] = hits?.hits ?? [];
      seen.push({ physical: hit?._index ?? "none", documents: hits?.total.value ?? -1 });
    }
  })();
  const stop = async () => {
    going = false;
    await watching;
    return seen;
  };
  return {
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}
