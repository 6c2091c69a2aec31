/** Teams and their players, followed by a capture that something happens to. */
import { equal } from "node:assert/strict";
import {
  type ChangelogReport,
  changelogReport,
  forgetConsumer,
  installChangelog,
  removeChangelog,
} from "../../src/app/changelog.ts";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { SyncEvent } from "../../src/core/events.ts";
import { type EngineRun, type EngineSetup, startEngine } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import { createDatabase, type TestDatabase, type TestPostgres } from "../support/postgres.ts";
import { type ScriptedSink, scriptedSink } from "../support/scripted_sink.ts";
import { assertSameDocuments, sqlDocuments } from "../support/truth.ts";
import { withoutMark } from "../support/without_mark.ts";

/** `stamped`: tables with a stamp that a trigger sets, and its index. */
export function sceneDdl(
  { stamped = true, partitioned = false }: {
    readonly stamped?: boolean;
    readonly partitioned?: boolean;
  } = {},
): string {
  const stamp = stamped ? ", updated_at timestamptz NOT NULL DEFAULT now()" : "";
  const touch = (table: string) =>
    stamped
      ? `CREATE INDEX ON ${table} (updated_at, id);
CREATE TRIGGER touch BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION touch();`
      : "";
  return `
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$;
CREATE TABLE team (id bigint PRIMARY KEY, name text, city text${stamp});
CREATE TABLE player (id bigint PRIMARY KEY, team_id bigint, name text, shirt int${stamp})
  ${partitioned ? "PARTITION BY RANGE (id)" : ""};
${
    partitioned
      ? `CREATE TABLE player_low PARTITION OF player FOR VALUES FROM (0) TO (1000);
CREATE TABLE player_high PARTITION OF player FOR VALUES FROM (1000) TO (2000);`
      : ""
  }
CREATE INDEX ON player (team_id);
${touch("team")}
${touch("player")}
INSERT INTO team SELECT g, 'team ' || g, 'city ' || g FROM generate_series(1, 20) g;
INSERT INTO player SELECT g, 1 + g % 20, 'player ' || g, g % 11 FROM generate_series(1, 100) g;`;
}

export interface Index {
  readonly table: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export const TEAMS: Index = {
  table: "team",
  fields: {
    id: "long",
    name: "keyword",
    players: {
      hasMany: "player",
      foreignKey: "team_id",
      orderBy: [{ column: "id" }],
      fields: { id: "long", name: "keyword" },
    },
  },
};
export const PLAYERS: Index = {
  table: "player",
  fields: {
    id: "long",
    name: "keyword",
    team: { belongsTo: "team", column: "team_id", fields: { name: "keyword" } },
  },
};
/** The same with a column more. */
export const SHIRTS: Index = { ...PLAYERS, fields: { ...PLAYERS.fields, shirt: "integer" } };

const PLAYERS_TRUTH = (more: string) =>
  `SELECT p.id::text AS id, jsonb_build_object('id', p.id, 'name', p.name, 'team',
  (SELECT jsonb_build_object('name', t.name) FROM team t WHERE t.id = p.team_id)${more})::text AS document
FROM player p`;
const TRUTHS = new Map<unknown, string>([
  [
    TEAMS,
    `SELECT t.id::text AS id, jsonb_build_object('id', t.id, 'name', t.name, 'players', coalesce(
  (SELECT jsonb_agg(jsonb_build_object('id', p.id, 'name', p.name) ORDER BY p.id)
   FROM player p WHERE p.team_id = t.id), '[]'))::text AS document FROM team t`,
  ],
  [PLAYERS, PLAYERS_TRUTH("")],
  [SHIRTS, PLAYERS_TRUTH(", 'shirt', p.shirt")],
]);

/** An index, and the SQL that its documents are to equal: (id, document). */
export function withTruth(index: Index, sql: string): Index {
  TRUTHS.set(index, sql);
  return index;
}

type Indexes = Readonly<Record<string, unknown>>;

/** What a start says: the rest is the scene's. */
export type SceneSetup = Partial<
  Pick<EngineSetup, "indexes" | "source" | "options" | "wrap" | "sent">
>;

export interface Scene extends AsyncDisposable {
  readonly db: TestDatabase;
  readonly sink: ScriptedSink;
  /** Runs statements as superuser. */
  sql(text: string): Promise<void>;
  start(setup?: SceneSetup): EngineRun;
  /** One that ends by itself, well. */
  sync(setup?: SceneSetup): Promise<EngineRun>;
  /** Every document is what the tables say, now or soon. */
  equalsTables(indexes?: Indexes, how?: { readonly atOnce: boolean }): Promise<void>;
  /** What names the filling of an index: another one after it was filled anew. */
  seed(index: string): string | undefined;
  changelog: {
    install(setup?: SceneSetup): Promise<void>;
    remove(): Promise<void>;
    status(setup?: SceneSetup): Promise<ChangelogReport>;
    forget(name: string): Promise<void>;
  };
}

export async function openScene(ddl: string, on: 15 | 18 | TestPostgres = 18): Promise<Scene> {
  const db = await createDatabase(ddl, on);
  const sink = scriptedSink("fake");
  const signal = new AbortController().signal;
  const say = () => {};
  const target = { schema: "driftless", adminUrl: db.url, apply: true, say };
  const setupOf = ({ indexes = INDEXES, ...setup }: SceneSetup): EngineSetup => ({
    url: db.readerUrl,
    sinks: [sink],
    indexes,
    supervised: true,
    ...setup,
    source: { sweeps: false, ...setup.source },
  });
  const config = (setup: SceneSetup = {}): Promise<Config> => configOf(setupOf(setup));
  return {
    db,
    sink,
    async sql(text) {
      // It may hold a BEGIN.
      const session = await db.sql.reserve();
      try {
        await session.unsafe(text).simple();
      } finally {
        session.release();
      }
    },
    start: (setup = {}) => startEngine(setupOf(setup)),
    async sync(setup = {}) {
      const full = setupOf(setup);
      const run = startEngine({ ...full, options: { ...full.options, once: true } });
      const error = await run.outcome();
      if (error !== undefined) throw error;
      return run;
    },
    async equalsTables(indexes = INDEXES, { atOnce } = { atOnce: false }) {
      let differs: unknown;
      await eventually("documents that equal the tables", async () => {
        try {
          for (const [name, index] of Object.entries(indexes)) {
            const expected = await sqlDocuments(db.sql, TRUTHS.get(index) ?? "");
            assertSameDocuments(held(sink, name), canonical(expected), name);
          }
          return true;
        } catch (error) {
          differs = error;
          return false;
        }
      }, atOnce ? { timeoutMs: 0 } : {}).catch((error) => {
        throw differs ?? error;
      });
    },
    seed: (index) => sink.storage.served.get(index)?.state.seed,
    changelog: {
      async install(setup) {
        const { left } = await installChangelog(
          await config(setup),
          target,
          [db.readerRole],
          signal,
        );
        equal(left.size, 0, [...left.values()].join());
      },
      async remove() {
        await removeChangelog(await config(), target, signal);
      },
      status: async (setup) =>
        await changelogReport(await config(setup), { schema: "driftless" }, signal),
      async forget(name) {
        equal((await forgetConsumer(await config(), target, name, signal)).found, true);
      },
    },
    [Symbol.asyncDispose]: () => db[Symbol.asyncDispose](),
  };
}

export const INDEXES: Indexes = { teams: TEAMS, players: PLAYERS };

/** Codes of the warnings and problems so far. */
export function told({ events }: EngineRun): readonly string[] {
  return events.flatMap((event: SyncEvent) =>
    event.type === "warning" ? event.code : event.type === "problem" ? event.problem.code : []
  );
}

/** The run was begun once, and never again. */
export function restarts({ events }: EngineRun): number {
  return events.filter((event) => event.type === "retry").length;
}

/** By table: how the run that goes on follows it. */
export function captures({ events }: EngineRun): Readonly<Record<string, string>> {
  return Object.fromEntries(
    events.flatMap((event) =>
      event.type === "table"
        ? [[event.level.table, `${event.level.level} ${event.level.capture}`]]
        : []
    ),
  );
}

export const LOGGED: Readonly<Record<string, string>> = {
  "public.player": "L4 changelog",
  "public.team": "L4 changelog",
};
export const STAMPED: Readonly<Record<string, string>> = {
  "public.player": "L2 updated_at",
  "public.team": "L2 updated_at",
};

/** The next event of that code, from now on. */
export async function alarm(
  run: EngineRun,
  code: string,
  from = 0,
  timeoutMs?: number,
): Promise<string> {
  return await eventually(`a warning ${code}`, () => {
    const found = run.events.slice(from).find((event) =>
      event.type === "warning" && event.code === code
    );
    return Promise.resolve(found?.type === "warning" ? found.message : undefined);
  }, timeoutMs === undefined ? {} : { timeoutMs });
}

async function configOf({ url, indexes, source }: EngineSetup): Promise<Config> {
  const text = JSON.stringify({ source: { url, ...source }, indexes });
  const { config, problems } = await loadConfig("test.jsonc", {}, () => Promise.resolve(text));
  if (config === undefined) throw new Error(JSON.stringify(problems));
  return config;
}

function held(sink: ScriptedSink, index: string): ReadonlyMap<string, string> {
  const documents = [...sink.documents(index)].flatMap(([id, { body }]): [string, string][] =>
    body === null ? [] : [[id, withoutMark(body)]]
  );
  return canonical(new Map(documents));
}

function canonical(documents: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map(
    [...documents].map(([id, text]) => [id, JSON.stringify(sorted(JSON.parse(text)))]),
  );
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map((
      [key, each],
    ) => [key, sorted(each)]),
  );
}
