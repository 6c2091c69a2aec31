import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";

async function load(source: unknown) {
  const text = JSON.stringify({
    source,
    indexes: { a: { table: "a", fields: { a: "text" } } },
  });
  const env = { DATABASE_URL: "postgres://reader@localhost/shop" };
  return await loadConfig("c.jsonc", env, () => Promise.resolve(text));
}

async function sourceOf(source: unknown) {
  const { config, problems } = await load(source);
  assert.deepEqual(problems, []);
  assert.ok(config);
  return config.source;
}

/** `path: message / hint` of each. */
async function problemsOf(source: unknown): Promise<readonly string[]> {
  const { problems, config } = await load(source);
  assert.equal(config, undefined);
  return problems.map(({ path, message, hint }) => `${path}: ${message} / ${hint}`);
}

const COLUMNS = { table: "t", key: "k", position: "id" };
const OUTBOX = { table: "outbox", tables: { a: "A" }, columns: { ...COLUMNS, xid: "tx" } };

describe("captures", () => {
  test("are auto, with sweeps, the usual changelog and no outbox, unless something else is said", async () => {
    const { capture, poll, sweeps, changelog, outbox } = await sourceOf({});
    assert.equal(capture, "auto");
    assert.equal(poll.lagMs, 30_000);
    assert.deepEqual(sweeps, {
      keysMs: 900_000,
      rowsMs: 3_600_000,
      dutyCycle: 0.1,
      massDeletes: false,
    });
    assert.deepEqual(changelog, {
      schema: "driftless",
      consumer: "default",
      retentionMs: 86_400_000,
    });
    assert.equal(outbox, undefined);
  });

  test("can each be switched off", async () => {
    for (const off of [false, 0]) {
      const section = { poll: { lag: off }, sweeps: off, wal: off, changelog: off, outbox: off };
      const { poll, sweeps, wal, changelog, outbox } = await sourceOf(section);
      assert.equal(poll.lagMs, 0);
      assert.deepEqual([sweeps.keysMs, sweeps.rowsMs], [undefined, undefined]);
      assert.deepEqual([wal, changelog, outbox], [undefined, undefined, undefined]);
    }
    const one = await sourceOf({ sweeps: { keys: false, rows: "10m" } });
    assert.deepEqual([one.sweeps.keysMs, one.sweeps.rowsMs], [undefined, 600_000]);
  });

  test("are named for the whole source or for a table", async () => {
    for (const capture of ["auto", "wal", "updated_at", "changelog", "outbox", "sweep"]) {
      const source = await sourceOf({ capture, tables: { a: { capture } } });
      assert.equal(source.capture, capture);
      assert.equal(source.tables.get("public.a")?.capture, capture);
    }
  });
});

describe("an outbox", () => {
  test("is read by its xid, else by its stamp, or claimed and marked or deleted", async () => {
    const modeOf = async (more: object, columns: object) => {
      const section = { ...OUTBOX, ...more, columns: { ...COLUMNS, ...columns } };
      return (await sourceOf({ outbox: section })).outbox?.mode;
    };
    assert.equal(await modeOf({}, { xid: "tx", stamp: "at" }), "xid");
    assert.equal(await modeOf({ mode: "read" }, { stamp: "at" }), "stamp");
    assert.equal(await modeOf({ mode: "claim" }, { processed: "done" }), "mark");
    assert.equal(await modeOf({ mode: "claim", delete: true }, {}), "delete");
  });

  test("knows tables by the names that the application gives them", async () => {
    const tables = { a: "A", "crm.orders": ["Order", "Basket"] };
    const { outbox } = await sourceOf({ outbox: { ...OUTBOX, table: "crm.box", tables } });
    assert.deepEqual(outbox?.table, { schema: "crm", name: "box" });
    assert.deepEqual([...outbox?.names ?? []], [
      ["public.a", ["A"]],
      ["crm.orders", ["Order", "Basket"]],
    ]);
    assert.deepEqual(outbox?.columns, { ...COLUMNS, xid: "tx" });
  });

  const wrong: readonly [string, object, RegExp][] = [
    ["without xid and stamp", { columns: COLUMNS }, /"read" needs "xid" or "stamp".*xid8/],
    [
      "that is claimed and not marked",
      { mode: "claim" },
      /"claim" needs .*"processed", or "delete"/,
    ],
    [
      "that is marked and deleted",
      { mode: "claim", delete: true, columns: { ...COLUMNS, processed: "p" } },
      /Both "delete" and the column "processed".*Keep one/,
    ],
    ["that is read and deleted", { delete: true }, /"delete" belongs to the mode "claim"/],
    [
      "that is read and marked",
      { columns: { ...COLUMNS, xid: "tx", processed: "p" } },
      /"processed" belongs to the mode "claim"/,
    ],
    ["that covers nothing", { tables: {} }, /The outbox covers no table.*Say which/],
    ["whose names are none", { tables: { a: [] } }, /Expected what the outbox calls this table/],
    ["whose name is a number", { tables: { a: 5 } }, /Expected what the outbox calls this table/],
    ["of a table that is none", { tables: { "a.b.c": "x" } }, /Expected a table's name/],
    ["with one table twice", { tables: { a: "A", "public.a": "B" } }, /Two keys name the table/],
    ["in another mode", { mode: "clam" }, /"clam" can't stand here.*"claim"/],
    ["without a key", { columns: { table: "t", position: "id", xid: "x" } }, /"key" is missing/],
    ["with a typo", { colums: {} }, /Unknown key "colums".*"columns"/],
  ];
  for (const [how, more, says] of wrong) {
    test(`${how} is refused with what to do`, async () => {
      const found = await problemsOf({ outbox: { ...OUTBOX, ...more } });
      assert.equal(found.length, 1, found.join("\n"));
      assert.match(found[0] ?? "", /^source\.outbox/);
      assert.match(found[0] ?? "", says);
    });
  }
});

test("how long the changelog is kept is read", async () => {
  const { changelog } = await sourceOf({ changelog: { retention: "1m" } });
  assert.equal(changelog?.retentionMs, 60_000);
});

test("sweeps and the changelog refuse what they can't take", async () => {
  const cases: readonly [object, RegExp][] = [
    [{ sweeps: true }, /source\.sweeps: Expected an object/],
    [{ sweeps: { dutyCycle: 0 } }, /over 0, at most 1/],
    [{ sweeps: { dutyCycle: "10%" } }, /over 0, at most 1/],
    [{ sweeps: { keys: true } }, /Expected a duration/],
    [{ sweeps: { massDelete: true } }, /Did you mean "massDeletes"/],
    [{ changelog: { schema: "" } }, /Expected a schema name/],
    [{ changelog: { retention: 0 } }, /Expected a duration/],
    [{ changelog: "driftless" }, /Expected an object/],
    [{ poll: { lag: 30 } }, /Expected a duration/],
  ];
  for (const [source, says] of cases) {
    const found = await problemsOf(source);
    assert.equal(found.length, 1, found.join("\n"));
    assert.match(found[0] ?? "", says);
  }
});

describe("the WAL", () => {
  const walOf = async (wal: unknown, url = "postgres://reader@localhost/shop") => {
    const source = { url, ...(wal === undefined ? {} : { wal }) };
    const { config } = await load(source);
    return config?.source.wal;
  };

  test("is used where it is permitted, through a slot that bears the database's name", async () => {
    const usual = { slot: "driftless_shop", publication: "driftless", maxSlotLag: 10_000_000_000 };
    assert.deepEqual(await walOf(undefined), usual);
    assert.deepEqual(await walOf({}), usual);
    const named = { slot: "a_1", publication: "sync", maxSlotLag: "512MiB" };
    assert.deepEqual(await walOf(named), { ...named, maxSlotLag: 512 * 1024 * 1024 });
    for (const off of [false, 0]) {
      assert.equal((await walOf({ maxSlotLag: off }))?.maxSlotLag, 0);
      assert.equal(await walOf(off), undefined);
    }
  });

  test("has a slot for each database whose name Postgres takes, and that no other one's is", async () => {
    const slotOf = async (url: string) => (await walOf({}, url))?.slot ?? "";
    assert.equal(await slotOf("postgres://me:pw@a:1,b:2/shop?sslmode=disable"), "driftless_shop");
    assert.equal(await slotOf("postgres://someone@localhost"), "driftless_someone");
    const odd = [
      "Shop",
      "my-shop",
      "my.shop",
      "my%20shop",
      "\u00fcber",
      "x".repeat(54),
      "x".repeat(63),
    ];
    const slots = await Promise.all(
      ["shop", "my_shop", "x".repeat(53), ...odd].map((name) => slotOf(`postgres://me@h/${name}`)),
    );
    for (const slot of slots) assert.match(slot, /^driftless_[a-z0-9_]{1,53}$/);
    assert.equal(new Set(slots).size, slots.length, slots.join("\n"));
    for (const slot of slots.slice(3)) assert.match(slot, /_[0-9a-f]{8}$/);
    assert.equal(slots[2], `driftless_${"x".repeat(53)}`);
  });

  const wrong: readonly [unknown, RegExp][] = [
    [true, /source\.wal: Expected an object/],
    [{ slot: "Driftless" }, /source\.wal\.slot: Expected a name of small letters/],
    [{ slot: "a-b" }, /small letters, digits and underscores/],
    [{ slot: "x".repeat(64) }, /63 at most/],
    [{ slot: "" }, /Expected a name/],
    [{ publication: 'p"q' }, /source\.wal\.publication: Expected a name of small letters/],
    [{ maxSlotLag: 10 }, /source\.wal\.maxSlotLag: Expected a size/],
    [{ maxSlotLag: "10" }, /Expected a size/],
    [{ slots: "a" }, /Did you mean "slot"/],
  ];
  for (const [wal, says] of wrong) {
    test(`refuses ${JSON.stringify(wal).slice(0, 40)} with what to do`, async () => {
      const found = await problemsOf({ wal });
      assert.equal(found.length, 1, found.join("\n"));
      assert.match(found[0] ?? "", says);
    });
  }
});
