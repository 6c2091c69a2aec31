import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { dispatch } from "../../src/cli/dispatch.ts";
import { inFolder } from "../support/in_folder.ts";
import { createDatabase } from "../support/postgres.ts";

const DDL = `
CREATE TABLE team (id int PRIMARY KEY, name text);
CREATE TABLE member (id int PRIMARY KEY, team_id int, first text, last text, seen timestamptz,
  label text GENERATED ALWAYS AS (first || '!') STORED);
CREATE TABLE note (id int PRIMARY KEY, member_id int, body text);`;

const CONFIG = {
  sinks: { out: { type: "stdout" } },
  indexes: {
    members: {
      table: "member",
      fields: {
        id: "long",
        label: "keyword",
        team: { belongsTo: "team", column: "team_id", fields: { name: "keyword" } },
        notes: {
          hasMany: "note",
          foreignKey: "member_id",
          fields: { id: "long", loud: { type: "keyword", sql: "upper(body)" } },
        },
      },
    },
  },
};

for (const major of [18, 15] as const) {
  test(
    `the command installs what the config needs, tells its state, and takes it away, on Postgres ${major}`,
    inFolder(async (folder) => {
      await using db = await createDatabase(DDL, major);
      const path = join(folder, "driftless.jsonc");
      await writeFile(path, JSON.stringify(CONFIG));
      const command = async (...argv: string[]) => {
        let out = "";
        let err = "";
        const code = await dispatch(["changelog", ...argv, "--config", path], {
          env: { DATABASE_URL: db.readerUrl },
          stdout: {
            write: async (text) => {
              out += text;
            },
          },
          stderr: (text) => err += text,
          stdoutIsTty: false,
          isTty: false,
          columns: () => 80,
          stop: new AbortController().signal,
          signal: new AbortController().signal,
        });
        return { code, out, err };
      };
      const admin = ["--admin-url", db.url];

      const none = await command("status");
      assert.equal(none.code, 1);
      assert.match(none.err, /Cannot find the changelog: schema "driftless" holds none/);

      await db.sql.unsafe("CREATE SCHEMA driftless; CREATE TABLE driftless.log (id int)").simple();
      assert.match((await command("install")).err, /it holds other things \("log"\)/);
      assert.match((await command("remove", "--apply", ...admin)).err, /holds none/);
      await db.sql`DROP SCHEMA driftless CASCADE`;

      const printed = await command("install");
      assert.equal(printed.code, 0, printed.err);
      assert.equal((await db.sql`SELECT FROM pg_namespace WHERE nspname = 'driftless'`).length, 0);
      // As psql would run it.
      const psql = await db.sql.reserve();
      await psql.unsafe(printed.out).simple();
      const columns = await db.sql`SELECT rel::regclass::text AS t, key, columns, joins
        FROM driftless.tables ORDER BY 1`;
      assert.deepEqual(columns.map((row) => ({ ...row })), [
        // A generated column may hold nothing when a trigger looks: what it is made of counts too.
        { t: "member", key: ["id"], columns: ["first", "label", "team_id"], joins: [] },
        // Its raw sql may read anything.
        { t: "note", key: ["id"], columns: null, joins: ["member_id"] },
        { t: "team", key: ["id"], columns: ["name"], joins: [] },
      ]);
      const stale = await psql.unsafe(printed.out).simple().catch((error) => error.message);
      assert.match(String(stale), /have changed since this was planned/);
      await psql`ROLLBACK`;
      psql.release();

      const sound = await command("status");
      assert.equal(sound.code, 0, sound.out);
      assert.match(sound.out, /public\.note: logged; looks at every column/);
      assert.doesNotMatch(sound.out, /can't acknowledge/);

      await db
        .sql`INSERT INTO driftless.consumers VALUES ('old', '3:3:', now() - interval '3 days')`;
      await db.sql`INSERT INTO team VALUES (1, 'a'), (2, 'b')`;
      await db.sql`ALTER TABLE team DISABLE TRIGGER driftless_update`;
      const broken = await command("status");
      assert.equal(broken.code, 1);
      assert.match(
        broken.out,
        /public\.team: NOT RELIED ON: trigger "driftless_update" .*is disabled/,
      );
      assert.match(broken.out, /old: seen 3 days ago .*, 2 rows to go\n +ALARM/);
      assert.equal((await command("forget", "old", "--apply", ...admin)).code, 0);
      assert.equal((await command("forget", "old", "--apply", ...admin)).code, 1);
      assert.equal((await command("forget")).code, 2);

      const mended = await command("install", "--apply", ...admin);
      assert.equal(mended.code, 0, mended.err);
      assert.match(mended.err, /public\.team: changes may have been missed/);
      assert.equal((await command("status")).code, 0);

      const refused = await command("remove", "--apply");
      assert.equal(refused.code, 1);
      assert.match(refused.err, /must be owner/);
      assert.equal((await command("remove", "--apply", ...admin)).code, 0);
      assert.equal((await db.sql`SELECT FROM pg_namespace WHERE nspname = 'driftless'`).length, 0);
      assert.match((await command("remove")).err, /holds none/);
      assert.equal((await command("mend")).code, 2);
      assert.equal((await command("status", "x")).code, 2);
      const odd = await command("status", "--admin-url", "host:5432/secret");
      assert.equal(odd.code, 2);
      assert.doesNotMatch(odd.err, /secret/);
    }),
  );
}
