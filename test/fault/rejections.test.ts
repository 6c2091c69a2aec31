import { deepEqual, equal, match, ok } from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { FatalError } from "../../src/core/errors.ts";
import type { SyncEvent } from "../../src/core/events.ts";
import type { Sink } from "../../src/core/ports.ts";
import { loadConfig } from "../../src/config/load.ts";
import { openSearchSink } from "../../src/opensearch/sink.ts";
import { type AppRun, runApp } from "../support/app_run.ts";
import { startEngine, within } from "../support/engine_run.ts";
import { installChangelog } from "../support/changelog.ts";
import { eventually } from "../support/eventually.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import { addPeople, openSearchDocuments, PEOPLE_DDL } from "../support/people.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";

/** What no event and no error may hold. */
const SECRET = "s3cr3t-row-content";
const KEYED = `
CREATE TABLE keyed (k text PRIMARY KEY, v text, gone boolean NOT NULL DEFAULT false,
  updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON keyed (updated_at, k);
CREATE TRIGGER touch BEFORE UPDATE ON keyed FOR EACH ROW EXECUTE FUNCTION touch();`;

let url: string;
before(async () => {
  url = (await openSearchServer()).url;
});

interface Place extends AsyncDisposable {
  readonly db: TestDatabase;
  readonly prefix: string;
  run(index: object, more?: object): Promise<AppRun>;
  sink(): Sink;
  /** Bodies by `_id`, as searches see them. */
  documents(): Promise<ReadonlyMap<string, Readonly<Record<string, unknown>>>>;
  /** Waits until a document's field has that value. */
  arrives(id: string, field: string, value: unknown): Promise<void>;
}

async function openPlace(): Promise<Place> {
  const db = await createDatabase(PEOPLE_DDL + KEYED);
  await addPeople(db.sql, 1, 30);
  const prefix = uniquePrefix();
  const documents: Place["documents"] = async () => {
    const found = new Map<string, Record<string, unknown>>();
    for await (const { id, body } of openSearchDocuments(url, `${prefix}things`)) {
      found.set(id, JSON.parse(body) as Record<string, unknown>);
    }
    return found;
  };
  return {
    db,
    prefix,
    documents,
    sink: () =>
      openSearchSink({
        name: "search",
        nodes: [url],
        indexPrefix: prefix,
        bulk: { maxBytes: 8 << 20, maxDocuments: 5_000, writers: 2, gzip: false },
      }),
    async run(index, more = {}) {
      const text = JSON.stringify({
        source: {
          url: db.readerUrl,
          poll: { minInterval: "5ms", maxInterval: "20ms", margin: "50ms" },
        },
        sinks: { search: { type: "opensearch", nodes: [url], indexPrefix: prefix } },
        indexes: { things: index },
        ...more,
      });
      const { config, problems } = await loadConfig("x.jsonc", {}, () => Promise.resolve(text));
      ok(config !== undefined, JSON.stringify(problems));
      return runApp(config);
    },
    async arrives(id, field, value) {
      await eventually(`${field} of ${id}`, async () => {
        const found = (await documents()).get(id);
        return value === undefined ? found === undefined : found?.[field] === value;
      });
    },
    async [Symbol.asyncDispose]() {
      await fetch(`${url}/${prefix}*?expand_wildcards=all`, { method: "DELETE" })
        .then((reply) => reply.body?.cancel());
      await db[Symbol.asyncDispose]();
    },
  };
}

function rejectedIn(events: readonly SyncEvent[]) {
  return events.filter((event) => event.type === "rejected")
    .map(({ id, reason, policy }) => `${policy} ${id}: ${reason}`);
}

/** How a run that can't go on ended. */
async function failureOf(run: AppRun): Promise<FatalError> {
  run.caughtUp.catch(() => {});
  const ended = run.ended.then(() => undefined, (error: unknown) => error);
  const error = await within("the end of the run", ended);
  ok(error instanceof FatalError, String(error));
  ok(!`${error.message} ${error.hint}`.includes(SECRET));
  return error;
}

describe("one row among many of one transaction", () => {
  const CAST = {
    table: "users",
    fields: { age: { type: "integer", sql: "tier::int" }, name: "text" },
  };

  test("that a cast fails on is set aside under skip: the others arrive, and it too once it is mended", async () => {
    await using place = await openPlace();
    const { sql } = place.db;
    await sql`UPDATE users SET tier = '1'`;
    await using run = await place.run({ ...CAST, onRejected: "skip" });
    await run.caughtUp;
    await sql`UPDATE users SET name = 'after', tier = CASE id WHEN 7 THEN ${SECRET} ELSE '2' END`;
    for (const id of ["1", "6", "8", "30"]) await place.arrives(id, "age", 2);
    const found = await place.documents();
    equal([...found.values()].filter(({ name }) => name === "after").length, 29);
    deepEqual([found.get("7")?.["age"], found.get("7")?.["name"]], [1, "User 7"], "as it was");
    deepEqual([...new Set(rejectedIn(run.events))], ["skip 7: 22P02"]);
    await sql`UPDATE users SET tier = '3' WHERE id = 7`;
    await place.arrives("7", "age", 3);
    ok(!JSON.stringify(run.events).includes(SECRET));
  });

  test("ends the run under stop with nothing acknowledged: all of it comes when the row is mended", async () => {
    await using place = await openPlace();
    const { sql } = place.db;
    await sql`UPDATE users SET tier = '1'`;
    const index = { ...CAST, onRejected: "stop" };
    {
      await using run = await place.run(index);
      await run.caughtUp;
    }
    await using sink = place.sink();
    const never = new AbortController().signal;
    const stored = await sink.loadCheckpoint(never);
    await sql`UPDATE users SET name = 'after', tier = CASE id WHEN 7 THEN ${SECRET} ELSE '2' END`;
    // Twice: what wasn't acknowledged comes again.
    for (let i = 0; i < 2; i++) {
      const error = await failureOf(await place.run(index));
      equal(error.code, "DOCUMENT_REJECTED");
      equal(error.message, 'Cannot index document "7" of "things": 22P02');
      match(error.hint, /Mend the row .* nothing was acknowledged, nothing is lost/);
      const kept = await sink.loadCheckpoint(never);
      equal(kept?.confirmedThrough, stored?.confirmedThrough);
    }
    await sql`UPDATE users SET tier = '3' WHERE id = 7`;
    await using run = await place.run(index);
    await run.caughtUp;
    for (const id of ["1", "30"]) await place.arrives(id, "age", 2);
    await place.arrives("7", "age", 3);
    ok(!run.events.some(({ type }) => type === "seedStarted"), "nothing is filled anew");
  });

  test("that is longer than maxDocumentBytes is set aside, and indexed when it is short again", async () => {
    await using place = await openPlace();
    const { sql } = place.db;
    const index = { table: "users", fields: { name: "text", tier: "keyword" }, onRejected: "skip" };
    await using run = await place.run(index, { maxDocumentBytes: "2KiB" });
    await run.caughtUp;
    const long = SECRET.repeat(200);
    await sql`UPDATE users SET tier = 'new', name = CASE id WHEN 5 THEN ${long} ELSE name END`;
    for (const id of ["1", "4", "6", "30"]) await place.arrives(id, "tier", "new");
    deepEqual([...new Set(rejectedIn(run.events))], ["skip 5: too_large"]);
    const kept = (await place.documents()).get("5");
    deepEqual([kept?.["name"], kept?.["tier"] === "new"], ["User 5", false], "as it was");
    await sql`UPDATE users SET name = 'short' WHERE id = 5`;
    await place.arrives("5", "name", "short");
    await sql`INSERT INTO users (id, email, name) VALUES (99, 'e', ${long})`;
    await eventually(
      "the new one's refusal",
      async () => rejectedIn(run.events).includes("skip 99: too_large"),
    );
    await sql`UPDATE users SET name = 'shorter' WHERE id = 99`;
    await place.arrives("99", "name", "shorter");
    ok(!JSON.stringify(run.events).includes(SECRET));
  });

  test("that is longer than maxDocumentBytes ends the run under stop, in a seed too", async () => {
    await using place = await openPlace();
    const index = { table: "users", fields: { name: "text" }, onRejected: "stop" };
    const more = { maxDocumentBytes: "2KiB" };
    await place.db.sql`UPDATE users SET name = ${SECRET.repeat(200)} WHERE id = 5`;
    const error = await failureOf(await place.run(index, more));
    equal(error.message, 'Cannot index document "5" of "things": too_large');
    await place.db.sql`UPDATE users SET name = 'short' WHERE id = 5`;
    await using run = await place.run(index, more);
    await run.caughtUp;
    await place.arrives("5", "name", "short");
    equal((await place.documents()).size, 30);
  });
});

describe("a key over the 512 bytes that OpenSearch takes for an _id", () => {
  const LONG = "ключ,%/ ".repeat(60);
  const KEYS = { table: "keyed", softDelete: { column: "gone" }, fields: { v: "keyword" } };
  const ID = `sha256:${createHash("sha256").update(LONG, "utf8").digest("hex")}`;

  test("names a document by its digest: made, changed, soft-deleted, back, and left where only keys show its end", async () => {
    await using place = await openPlace();
    const { sql } = place.db;
    await sql`INSERT INTO keyed (k, v) VALUES ('short', 'a'), (${LONG}, 'seeded')`;
    await using run = await place.run(KEYS, { source: sweptSource(place.db.readerUrl) });
    await run.caughtUp;
    deepEqual([...(await place.documents()).keys()].sort(), [ID, "short"].sort());
    await sql`UPDATE keyed SET v = 'changed' WHERE k = ${LONG}`;
    await place.arrives(ID, "v", "changed");
    await sql`UPDATE keyed SET gone = true WHERE k = ${LONG}`;
    await place.arrives(ID, "v", undefined);
    await sql`UPDATE keyed SET gone = false, v = 'back' WHERE k = ${LONG}`;
    await place.arrives(ID, "v", "back");
    await sql`DELETE FROM keyed WHERE k IN (${LONG}, 'short')`;
    await place.arrives("short", "v", undefined);
    await eventually(
      "the word on what stays",
      async () =>
        run.events.some((event) => event.type === "warning" && event.code === "ORPHANS_UNKNOWN"),
    );
    deepEqual([...(await place.documents()).keys()], [ID]);
    deepEqual(rejectedIn(run.events), []);
  });

  test("is gone with its row where the changelog shows the delete", async () => {
    await using place = await openPlace();
    const { sql } = place.db;
    await installChangelog(place.db, [{ table: "keyed", columns: ["v", "gone"] }]);
    await sql`INSERT INTO keyed (k, v) VALUES ('short', 'a'), (${LONG}, 'seeded')`;
    await using run = await place.run(KEYS);
    await run.caughtUp;
    ok(run.events.some((event) => event.type === "table" && event.level.capture === "changelog"));
    await sql`INSERT INTO keyed (k, v) VALUES (${`${LONG}!`}, 'beside')`;
    await eventually("the one beside it", async () => (await place.documents()).size === 3);
    await sql`DELETE FROM keyed WHERE k = ${LONG}`;
    await place.arrives(ID, "v", undefined);
    await sql`INSERT INTO keyed (k, v) VALUES (${LONG}, 'again')`;
    await place.arrives(ID, "v", "again");
    await sql`UPDATE keyed SET k = 'moved' WHERE k = ${LONG}`;
    await place.arrives(ID, "v", undefined);
    await place.arrives("moved", "v", "again");
    deepEqual(rejectedIn(run.events), []);
  });

  function sweptSource(url: string) {
    return {
      url,
      poll: { minInterval: "5ms", maxInterval: "20ms", margin: "50ms" },
      sweeps: { keys: "1s", dutyCycle: 0.5 },
    };
  }
});

describe("a column whose type changes to one that a field can't be", () => {
  let place: Place;
  before(async () => {
    place = await openPlace();
    await place.db.sql`ALTER TABLE users ADD COLUMN age int NOT NULL DEFAULT 30`;
  });
  after(() => place[Symbol.asyncDispose]());

  const AGES = { table: "users", fields: { age: "integer", name: "text" } };
  const NAMES = { table: "users", fields: { name: "text" } };

  test("leaves its index out with what to do, while the others go on; changed back it is filled anew", async () => {
    const { sql } = place.db;
    await using sink = place.sink();
    await using run = startEngine({
      url: place.db.readerUrl,
      sinks: [sink],
      indexes: { ages: AGES, things: NAMES },
      supervised: true,
    });
    await run.waitFor("caughtUp");
    await sql.unsafe("ALTER TABLE users ALTER COLUMN age TYPE text USING 'about ' || age");
    const { problem } = await run.waitFor("problem", ({ problem }) => problem.severity === "error");
    equal(problem.path.startsWith("indexes.ages.fields.age"), true, problem.path);
    match(problem.message, /text/);
    ok(problem.hint !== undefined && problem.hint !== "");
    await sql`UPDATE users SET name = 'goes on' WHERE id = 3`;
    await place.arrives("3", "name", "goes on");
    const seeds = () => run.events.filter((e) => e.type === "seedFinished" && e.index === "ages");
    equal(seeds().length, 1);
    await sql.unsafe("ALTER TABLE users ALTER COLUMN age TYPE int USING 31");
    await eventually("the second filling", async () => seeds().length === 2);
    const reply = await fetch(`${url}/${place.prefix}ages/_search?q=age:31&size=0`);
    const { hits } = await reply.json() as { hits: { total: { value: number } } };
    equal(hits.total.value, 30);
    await run.stop();
  });

  test("ends a run that has nothing else to serve, and says of which column and types", async () => {
    const { sql } = place.db;
    await sql.unsafe("ALTER TABLE users ALTER COLUMN age TYPE text USING 'about ' || age");
    await using sink = place.sink();
    await using run = startEngine({
      url: place.db.readerUrl,
      sinks: [sink],
      indexes: { ages: AGES },
    });
    const error = await run.outcome();
    ok(error instanceof FatalError && error.code === "CONFIG_INVALID", String(error));
    const { problem } = await run.waitFor("problem", ({ problem }) => problem.severity === "error");
    match(problem.message, /"?age"?.*text|text.*age/);
    const failure = await failureOf(await place.run(AGES));
    equal(failure.code, "CONFIG_INVALID");
    match(failure.message, /Cannot serve "things"/);
  });

  test("a wider type whose values the field can't hold is refused row by row", async () => {
    await using own = await openPlace();
    await own.db.sql`ALTER TABLE users ADD COLUMN age int NOT NULL DEFAULT 30`;
    const index = {
      table: "users",
      fields: { age: { type: "integer", sql: "age" }, name: "text" },
      onRejected: "skip",
    };
    {
      await using run = await own.run(index);
      await run.caughtUp;
    }
    await own.db.sql.unsafe("ALTER TABLE users ALTER COLUMN age TYPE bigint");
    await own.db
      .sql`UPDATE users SET name = 'after', age = CASE id WHEN 9 THEN 5000000000 ELSE 31 END`;
    await using run = await own.run(index);
    await run.caughtUp;
    await own.arrives("8", "age", 31);
    const found = await own.documents();
    equal([...found.values()].filter(({ name }) => name === "after").length, 29);
    deepEqual([...new Set(rejectedIn(run.events))], [
      'skip 9: mapper_parsing_exception in field "age"',
    ]);
  });
});
