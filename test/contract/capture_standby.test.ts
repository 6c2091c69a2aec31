import { after } from "node:test";
import { installChangelog } from "../support/changelog.ts";
import {
  at,
  createDatabase,
  type PrivatePostgres,
  startPostgres,
  type TestDatabase,
} from "../support/postgres.ts";
import { type Standby, startStandby } from "../support/standby.ts";
import { type CaptureSubject, exerciseCapture } from "./exercise_capture.ts";

interface Pair {
  readonly primary: PrivatePostgres;
  readonly standby: Standby;
}

const pairs = new Map<number, Promise<Pair>>();
after(async () => {
  for (const pair of pairs.values()) {
    const { primary, standby } = await pair;
    await standby.stop();
    await primary.stop();
  }
});

function pairOf(major: 15 | 18): Promise<Pair> {
  let pair = pairs.get(major);
  if (pair === undefined) {
    pair = (async () => {
      const primary = await startPostgres({ major });
      return { primary, standby: await startStandby(primary) };
    })();
    pairs.set(major, pair);
  }
  return pair;
}

const standbys = new Map<string, Standby>();

/** The writers are on the primary, everything of ours on its standby. */
function onStandby(
  subject: Omit<CaptureSubject, "options">,
  source: Readonly<Record<string, unknown>>,
): CaptureSubject {
  return {
    ...subject,
    name: `${subject.name} on a standby`,
    async database(ddl, major) {
      const { primary, standby } = await pairOf(major);
      const db = await createDatabase(ddl, primary);
      standbys.set(db.name, standby);
      return db;
    },
    async install(db) {
      await subject.install(db);
      await standbys.get(db.name)?.caughtUp();
    },
    options: (db) => ({ source, url: there(db) }),
  };
}

function there({ name, readerRole }: TestDatabase): string {
  return at(standbys.get(name)?.url ?? "", { database: name, user: readerRole });
}

exerciseCapture(onStandby({
  name: "updated_at with a lag",
  level: "L1",
  claims: {
    lateCommits: false,
    oddStamps: false,
    deletes: false,
    truncates: false,
    bypass: true,
    waits: false,
    exact: true,
  },
  install: () => Promise.resolve(),
}, { sweeps: false }));

exerciseCapture(onStandby({
  name: "the changelog",
  level: "L4",
  claims: {
    lateCommits: true,
    oddStamps: true,
    deletes: true,
    truncates: true,
    bypass: false,
    waits: true,
    exact: true,
  },
  install: async (db) => void await installChangelog(db, [{ table: "item" }]),
}, { capture: "changelog", sweeps: false }));
