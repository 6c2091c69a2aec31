import { match } from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { appConfig, syncApp } from "../support/app_run.ts";
import { inFolder } from "../support/in_folder.ts";
import { sqliteDocuments } from "../support/people.ts";
import { createDatabase } from "../support/postgres.ts";

const INDEXES = { items: { table: "item", fields: { id: "long", name: "keyword" } } };

function nameOf(folder: string): string {
  return sqliteDocuments(join(folder, "driftless.db"), "items")[0]?.body ?? "nothing";
}

test(
  "what was stamped in one column while another was followed isn't lost when the config changes over",
  inFolder(async (folder) => {
    await using db = await createDatabase(
      `CREATE TABLE item (id bigint PRIMARY KEY, name text,
         a timestamptz NOT NULL DEFAULT now(), b timestamptz NOT NULL DEFAULT now());
       CREATE INDEX ON item (a, id); CREATE INDEX ON item (b, id);
       INSERT INTO item VALUES (1, 'before', now() - interval '1 h', now() - interval '1 h');`,
    );
    const by = (stamp: string) =>
      appConfig(folder, {
        url: db.readerUrl,
        tables: { item: { stamp } },
        indexes: INDEXES,
      });
    await syncApp(await by("a"));
    await db.sql`UPDATE item SET name = 'after', b = clock_timestamp()`;
    await pause(200);
    await syncApp(await by("a"));
    match(nameOf(folder), /before/, "the premise: a wasn't set");
    await syncApp(await by("b"));
    match(nameOf(folder), /after/);
  }),
);

test(
  "what a stamp in another zone hid isn't lost when the config names the right one",
  inFolder(async (folder) => {
    await using db = await createDatabase(
      `CREATE TABLE item (id bigint PRIMARY KEY, name text,
         updated_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'));
       CREATE INDEX ON item (updated_at, id);
       INSERT INTO item VALUES (1, 'before');`,
    );
    const within = (stampTimezone: string) =>
      appConfig(folder, {
        url: db.readerUrl,
        tables: { item: { stampTimezone } },
        indexes: INDEXES,
      });
    // Taken for nine hours ago.
    await syncApp(await within("Asia/Tokyo"));
    await db.sql`UPDATE item SET name = 'after', updated_at = clock_timestamp() AT TIME ZONE 'UTC'`;
    await pause(200);
    await syncApp(await within("Asia/Tokyo"));
    match(nameOf(folder), /before/, "the premise: the stamp was taken for an old one");
    await syncApp(await within("UTC"));
    match(nameOf(folder), /after/);
  }),
);
