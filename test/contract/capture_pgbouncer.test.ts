import { after } from "node:test";
import { installChangelog } from "../support/changelog.ts";
import { type PgBouncer, startPgBouncer } from "../support/pgbouncer.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { type CaptureSubject, exerciseCapture } from "./exercise_capture.ts";

const poolers = new Map<string, PgBouncer>();
after(async () => {
  for (const pooler of poolers.values()) await pooler.stop();
});

/** Everything of ours goes through PgBouncer in transaction mode; the writers don't. */
function pooled(
  subject: Omit<CaptureSubject, "options">,
  source: Readonly<Record<string, unknown>>,
): CaptureSubject {
  return {
    ...subject,
    name: `${subject.name} through PgBouncer in transaction mode`,
    async install(db) {
      await subject.install(db);
      poolers.set(db.name, await startPgBouncer(db.url));
    },
    options: (db) => ({ source, pooler: "transaction", url: through(db) }),
  };
}

function through({ name, readerRole }: TestDatabase): string {
  const url = new URL(poolers.get(name)?.url ?? "");
  url.username = readerRole;
  url.pathname = `/${name}`;
  return url.toString();
}

exerciseCapture(pooled({
  name: "updated_at",
  level: "L2",
  claims: {
    lateCommits: true,
    oddStamps: false,
    deletes: false,
    truncates: false,
    bypass: true,
    waits: false,
    exact: true,
  },
  install: () => Promise.resolve(),
}, { capture: "updated_at", sweeps: false }));

exerciseCapture(pooled({
  name: "the changelog",
  level: "L4",
  claims: {
    lateCommits: true,
    oddStamps: true,
    deletes: true,
    truncates: true,
    bypass: false,
    waits: false,
    exact: true,
  },
  install: async (db) => void await installChangelog(db, [{ table: "item" }]),
}, { capture: "changelog", sweeps: false }));
