import { deepEqual, doesNotMatch, equal, match } from "node:assert/strict";
import { describe, test } from "node:test";
import type { CatalogTable } from "../../src/postgres/catalog.ts";
import type { RequiredTable } from "../../src/postgres/changelog/required.ts";
import { walChance } from "../../src/postgres/choose_wal.ts";
import { inspectWal } from "../../src/postgres/inspect_wal.ts";
import type {
  PublicationState,
  SlotState,
  WalFacts,
  WalServer,
  WalTableFacts,
} from "../../src/postgres/wal/facts.ts";
import { walProblems, walToldOnce } from "../../src/postgres/wal_problems.ts";
import { catalogTable, indexOn } from "../support/catalog_table.ts";

const SETTINGS = { slot: "driftless_shop", publication: "driftless", maxSlotLag: 10_000_000_000 };
const WISH = { table: { schema: "public", name: "t" }, key: ["id"], joinColumns: ["up"] };
const TABLE: WalTableFacts = {
  owned: true,
  published: undefined,
  filtered: false,
  columns: undefined,
  identity: "default",
  identityColumns: ["id"],
  unfit: undefined,
  generated: [],
};
const OTHERS = { ...TABLE, owned: false };
const SERVER: WalServer = {
  version: 180_000,
  database: "shop",
  inRecovery: false,
  standbyNames: "",
  pooled: false,
  walLevel: "logical",
  mayReplicate: true,
  slots: { used: 1, max: 10 },
  idleSlots: [],
  slot: undefined,
  publication: undefined,
  mayCreate: true,
  tables: new Map(),
};
const SLOT: SlotState = {
  name: "driftless_shop",
  plugin: "pgoutput",
  database: "shop",
  temporary: false,
  holder: undefined,
  walStatus: "reserved",
  invalid: undefined,
  confirmed: 1n,
  restart: 1n,
  retained: 10n << 20n,
  safe: undefined,
};
const PUBLICATION: PublicationState = {
  name: "driftless",
  owned: true,
  allTables: false,
  omits: [],
  viaRoot: false,
};

function factsOf(
  server: Partial<WalServer> = {},
  tables: Readonly<Record<string, WalTableFacts>> = { "public.t": TABLE },
): WalFacts {
  return {
    settings: SETTINGS,
    server: { ...SERVER, tables: new Map(Object.entries(tables)), ...server },
    role: "Search",
    wanted: new Set(Object.keys(tables)),
  };
}

function requiredOf(catalog: CatalogTable): RequiredTable {
  const { ref } = catalog;
  const recorded = { key: ["id"], columns: ["v", "shown"], joins: ["up"] };
  return { ...recorded, table: ref, id: "public.t", catalog, unfit: undefined };
}

const COLUMNS = { id: {}, up: {}, v: {}, shown: {} };
const REQUIRED = requiredOf(catalogTable(COLUMNS));

function chanceOf(facts: WalFacts, required = REQUIRED, wish = WISH) {
  const chance = walChance(wish, facts, required);
  if ("way" in chance) return { way: chance.way, code: "", state: "", sql: "", alarm: false };
  const { refusal: { code, state, sql }, alarm = false } = chance;
  return { way: undefined, code, state, sql: sql.join("\n"), alarm };
}

describe("a table is followed by the WAL", () => {
  test("where it is published, or can be by this role", () => {
    const { way } = chanceOf(factsOf());
    deepEqual(way, {
      kind: "wal",
      stream: "wal",
      signature: '["driftless_shop","driftless"]',
      table: {
        table: WISH.table,
        id: "public.t",
        oid: "1",
        key: ["id"],
        joinColumns: ["up"],
        // Where a partition may hold back what the message shows as NULL, every change counts.
        columns: null,
        seesBefore: false,
      },
    });
    const published = { "public.t": { ...OTHERS, published: "m" } };
    const foreign = { ...PUBLICATION, owned: false };
    for (
      const facts of [
        factsOf({ publication: PUBLICATION }),
        factsOf({ publication: foreign, mayCreate: false }, published),
        factsOf({ slot: { ...SLOT, walStatus: "lost", invalid: "wal_removed" } }),
        factsOf({ slot: { ...SLOT, holder: { pid: 1, application: "", address: "" } } }),
        factsOf({ slot: SLOT, slots: { used: 10, max: 10 } }),
      ]
    ) equal(chanceOf(facts).way?.kind, "wal");
  });

  test("and shows where a row was if its links are part of the replica identity", () => {
    const seen = (over: Partial<WalTableFacts>, joinColumns = ["up"]) => {
      const facts = factsOf({}, { "public.t": { ...TABLE, ...over } });
      const { way } = chanceOf(facts, REQUIRED, { ...WISH, joinColumns });
      return way?.kind === "wal" && way.table.seesBefore;
    };
    equal(seen({}), false);
    equal(seen({}, []), true);
    equal(seen({ identity: "full", identityColumns: ["id", "up", "v"] }), true);
    equal(seen({ identity: "index", identityColumns: ["id", "up"] }), true);
  });

  test("by what is sent: not by generated columns, whose sources count", () => {
    const facts = factsOf({}, {
      "public.t": { ...TABLE, identity: "full", generated: ["shown"] },
    });
    const { way } = chanceOf(facts);
    deepEqual(way?.kind === "wal" && way.table.columns, ["v"]);
    const whole = chanceOf(facts, { ...REQUIRED, columns: null });
    equal(whole.way?.kind === "wal" && whole.way.table.columns, null);
  });
});

describe("a server that no table can be followed on by its WAL", () => {
  const cases: readonly [string, Partial<WalServer>, string, RegExp, string][] = [
    ["pools", { pooled: true }, "WAL_POOLER", /connection pooler/, ""],
    ["is a standby", { inRecovery: true }, "WAL_STANDBY", /this is a standby/, ""],
    [
      "writes too little",
      { walLevel: "replica" },
      "WAL_LEVEL",
      /wal_level is replica and has to be logical, which takes a restart/,
      "ALTER SYSTEM SET wal_level = logical;",
    ],
    [
      "would have commits wait for whoever replicates",
      { standbyNames: "FIRST 1 (*)" },
      "WAL_SYNCHRONOUS",
      /synchronous_standby_names is FIRST 1 \(\*\).*commits wait for/,
      "ALTER SYSTEM SET synchronous_standby_names = 'name_of_your_standby';",
    ],
    [
      "doesn't let the role",
      { mayReplicate: false },
      "WAL_ROLE",
      /role Search lacks REPLICATION .*rds_replication TO "Search"/,
      'ALTER ROLE "Search" REPLICATION;',
    ],
    [
      "has no slot left",
      { slots: { used: 4, max: 4 }, idleSlots: ["a", "b"] },
      "WAL_NO_SLOT",
      /all 4 of max_replication_slots are used.*nobody reads now \(a, b\).*drop_replication_slot\('a'\)/,
      "ALTER SYSTEM SET max_replication_slots = 9;",
    ],
    [
      "has a slot of that name that decodes otherwise",
      { slot: { ...SLOT, plugin: "wal2json" } },
      "WAL_SLOT_TAKEN",
      /"driftless_shop" is taken: it is of the plugin wal2json/,
      "",
    ],
    [
      "has a physical one",
      { slot: { ...SLOT, plugin: "physical", database: undefined } },
      "WAL_SLOT_TAKEN",
      /it is a physical one/,
      "",
    ],
    [
      "has one of another database",
      { slot: { ...SLOT, database: "other" } },
      "WAL_SLOT_TAKEN",
      /it belongs to database other/,
      "",
    ],
    [
      "has a temporary one",
      { slot: { ...SLOT, temporary: true } },
      "WAL_SLOT_TAKEN",
      /another session's temporary/,
      "",
    ],
  ];
  for (const [name, server, code, state, sql] of cases) {
    test(`${name}: that is no table's own reason`, () => {
      const found = chanceOf(factsOf(server));
      deepEqual([found.code, found.sql, found.alarm], [code, sql, false]);
      match(found.state, state);
    });
  }

  test("has all its reasons told at once", () => {
    const { code, state, sql } = chanceOf(factsOf({ walLevel: "minimal", mayReplicate: false }));
    equal(code, "WAL_LEVEL");
    match(state, /wal_level is minimal .*; and role Search lacks REPLICATION/);
    equal(sql, 'ALTER SYSTEM SET wal_level = logical;\nALTER ROLE "Search" REPLICATION;');
  });

  test("is told of once, however many tables ask for it", () => {
    const told = (id: string, code = "WAL_ROLE") => ({
      severity: "error" as const,
      code,
      path: `source.tables.${id}`,
      message: `Cannot follow ${id} by the WAL: no`,
    });
    const other = told("public.c", "STAMP_MISSING");
    deepEqual(walToldOnce([told("public.a"), other, told("public.b")]), [
      {
        ...told("public.a"),
        path: "source.wal",
        message: "Cannot follow public.a, public.b by the WAL: no",
      },
      other,
    ]);
    deepEqual(walToldOnce([other]), [other]);
  });
});

describe("a table that can't be followed by the WAL", () => {
  const publishing = { publication: { ...PUBLICATION, owned: false } };
  const cases: readonly [
    string,
    Partial<WalServer>,
    Partial<WalTableFacts>,
    string,
    RegExp,
    string,
  ][] = [
    ["is a view", {}, { unfit: "it is a view" }, "WAL_UNFIT", /show its changes: it is a view/, ""],
    ["is linked by what isn't sent", {}, { generated: ["up"] }, "WAL_GENERATED", /"up"/, ""],
    [
      "has no identity by choice",
      {},
      { identity: "nothing", identityColumns: [] },
      "WAL_IDENTITY",
      /^its replica identity is nothing: UPDATE and DELETE of a published table without one fail/,
      "ALTER TABLE public.t REPLICA IDENTITY DEFAULT;",
    ],
    [
      "has one that lacks its key",
      {},
      { identity: "index", identityColumns: ["up"] },
      "WAL_IDENTITY",
      /\("up"\) lacks "id" of its key: a delete wouldn't say which row it was/,
      "ALTER TABLE public.t REPLICA IDENTITY DEFAULT;",
    ],
    [
      "is somebody else's to publish",
      {},
      { owned: false },
      "WAL_UNPUBLISHED",
      /there is no publication "driftless", and Search doesn't own the table/,
      'CREATE PUBLICATION "driftless" FOR TABLE public.t;',
    ],
    [
      "can't be published by a role that may not create",
      { mayCreate: false },
      {},
      "WAL_UNPUBLISHED",
      /Search may not create one/,
      'GRANT CREATE ON DATABASE "shop" TO "Search";',
    ],
    [
      "is missing in a publication that isn't ours",
      publishing,
      {},
      "WAL_UNPUBLISHED",
      /publication "driftless" lacks it, and Search doesn't own the publication/,
      'ALTER PUBLICATION "driftless" ADD TABLE public.t;',
    ],
    [
      "is published in part",
      { publication: { ...PUBLICATION, omits: ["delete", "truncate"] } },
      { published: "m" },
      "WAL_PUBLICATION_OMITS",
      /doesn't send DELETE, TRUNCATE/,
      "ALTER PUBLICATION \"driftless\" SET (publish = 'insert, update, delete, truncate');",
    ],
    [
      "is filtered",
      publishing,
      { published: "m", filtered: true },
      "WAL_FILTERED",
      /only those of its rows/,
      'ALTER PUBLICATION "driftless" DROP TABLE public.t;\n' +
      'ALTER PUBLICATION "driftless" ADD TABLE public.t;',
    ],
    [
      "is published without what is shown of it",
      publishing,
      { published: "m", columns: ["id", "v"] },
      "WAL_COLUMNS",
      /doesn't send its columns "up", "shown"/,
      'ALTER PUBLICATION "driftless" DROP TABLE public.t;\n' +
      'ALTER PUBLICATION "driftless" ADD TABLE public.t;',
    ],
  ];
  for (const [name, server, table, code, state, sql] of cases) {
    test(`since it ${name} says so, with what helps`, () => {
      const found = chanceOf(factsOf(server, { "public.t": { ...TABLE, ...table } }));
      deepEqual([found.code, found.sql], [code, sql]);
      match(found.state, state);
      equal(found.alarm, server.publication !== undefined, "set up, and not for this one");
      doesNotMatch(found.state, /\.$/);
    });
  }

  test("for want of a key is told of both, and of the cheapest identity that would do", () => {
    const keyless = (over: Partial<CatalogTable>) => {
      const facts = factsOf({}, {
        "public.t": { ...TABLE, identity: "nothing", identityColumns: [] },
      });
      const catalog = catalogTable(COLUMNS, { primaryKey: undefined, ...over });
      return chanceOf(facts, requiredOf(catalog));
    };
    const { state, sql } = keyless({});
    match(state, /no primary key, and its replica identity is nothing: UPDATE and DELETE .* fail/);
    equal(sql, "ALTER TABLE public.t REPLICA IDENTITY FULL;");
    const unique = { ...indexOn(["id"]), name: "By Id", unique: true };
    const identity = (over: object) => keyless({ indexes: [{ ...unique, ...over }] }).sql;
    equal(identity({}), 'ALTER TABLE public.t REPLICA IDENTITY USING INDEX "By Id";');
    for (const over of [{ unique: false }, { partial: true }, { valid: false }]) {
      match(identity(over), /FULL/);
    }
    match(keyless({ kind: "partitioned" }).sql, /^DO .*pg_partition_tree.*REPLICA IDENTITY FULL/s);
  });

  test("of an owner's many is published with all of them by one statement", () => {
    const tables = {
      "public.t": OTHERS,
      "public.u": { ...OTHERS, published: "m" },
      "public.v": { ...OTHERS, unfit: "it is a view" },
      "public.w": { ...OTHERS, identity: "nothing" as const },
      "public.x": OTHERS,
      "public.y": OTHERS,
    };
    const facts = {
      ...factsOf(publishing, tables),
      wanted: new Set(Object.keys(tables).slice(0, 5)),
    };
    equal(
      chanceOf(facts).sql,
      'ALTER PUBLICATION "driftless" ADD TABLE public.t, public.x;',
    );
  });
});

describe("what is wrong with the WAL as a whole", () => {
  const codes = (server: Partial<WalServer>, used = false) =>
    walProblems(factsOf(server), used, []).map(({ severity, code }) => `${severity} ${code}`);

  test("is nothing where it isn't permitted, and is told where it is and in vain", () => {
    deepEqual(codes({}), []);
    deepEqual(codes({ mayReplicate: false }), []);
    deepEqual(codes({ slots: { used: 1, max: 1 } }), ["warning WAL_NO_SLOT"]);
    deepEqual(codes({ slot: { ...SLOT, plugin: "wal2json" } }), ["warning WAL_SLOT_TAKEN"]);
    const full = factsOf({ slots: { used: 1, max: 1 } });
    deepEqual(walProblems({ ...full, wanted: new Set() }, false, []), [], "nobody asks for it");
    const [told] = walProblems(full, false, []);
    deepEqual(walProblems(full, false, told === undefined ? [] : [told]), [], "it is said already");
  });

  test("is a slot that keeps WAL for nobody", () => {
    deepEqual(codes({ slot: SLOT }), ["warning WAL_SLOT_UNUSED"]);
    deepEqual(codes({ slot: SLOT }, true), []);
    const holder = { pid: 7, application: "", address: "" };
    deepEqual(codes({ slot: { ...SLOT, holder } }), [], "another config's");
    deepEqual(codes({ slot: SLOT, mayReplicate: false }), ["warning WAL_ROLE"]);
    deepEqual(codes({ slot: SLOT, inRecovery: true }), []);
    const [problem] = walProblems(factsOf({ slot: SLOT }), false, []);
    match(problem?.hint ?? "", /driftless wal drop --apply/);
  });
});

describe("what check says of the WAL", () => {
  const linesOf = (server: Partial<WalServer>, followed = ["public.t"]) =>
    inspectWal(factsOf(server), followed, []).lines.join("\n");

  test("is why it isn't used, once, with the SQL that would help", () => {
    const lines = linesOf({ mayReplicate: false }, []);
    match(lines, /^not used: role Search lacks REPLICATION/);
    match(lines, /^ALTER ROLE "Search" REPLICATION;$/m);
    const told = [{ severity: "error" as const, code: "WAL_ROLE", path: "", message: "" }];
    deepEqual(inspectWal(factsOf({ mayReplicate: false }), [], told).lines, []);
    match(
      linesOf({}, []),
      /^not used: nothing publishes the tables\n.*L5.*\nCREATE PUBLICATION/,
    );
    const toldOf = { severity: "error", code: "WAL_UNPUBLISHED", path: "", message: "" } as const;
    deepEqual(inspectWal(factsOf({}), [], [toldOf]).lines, [], "each table says why it isn't");
    deepEqual(inspectWal({ ...factsOf(), settings: undefined }, [], []).lines, []);
  });

  test("is what run will make, and how it stands when it is there", () => {
    equal(
      linesOf({}),
      'slot "driftless_shop": not there yet, run makes it\n' +
        'publication "driftless": not there yet, run makes it',
    );
    const holder = { pid: 7, application: "driftless/1", address: "10.0.0.1" };
    const tables = new Map([["public.t", { ...TABLE, published: "m" }]]);
    equal(
      linesOf({
        slot: { ...SLOT, holder, safe: 3n << 30n },
        publication: PUBLICATION,
        tables,
      }),
      'slot "driftless_shop": well; read by pid 7 (driftless/1, 10.0.0.1); 10 MB of WAL are ' +
        'kept for it; lost when 3.2 GB more are written\npublication "driftless": sends the ' +
        "table that is followed by it",
    );
    match(linesOf({ publication: PUBLICATION }), /publication "driftless": run adds public\.t$/);
  });

  test("warns in time of a slot that is lost, about to be, or far behind", () => {
    const of = (slot: Partial<SlotState>) =>
      inspectWal(factsOf({ slot: { ...SLOT, ...slot } }), ["public.t"], []).problems.map(
        ({ code, hint }) => `${code} ${hint}`,
      );
    deepEqual(of({}), []);
    match(of({ walStatus: "lost", invalid: "wal_removed" })[0] ?? "", /^WAL_SLOT_LOST .*fills/s);
    match(of({ walStatus: "unreserved" })[0] ?? "", /^WAL_SLOT_UNRESERVED Nobody reads it/);
    const holder = { pid: 7, application: "", address: "" };
    match(of({ retained: 6_000_000_000n, holder })[0] ?? "", /^WAL_SLOT_LAGS Its reader is behind/);
    deepEqual(of({ retained: 4_900_000_000n }), []);
  });
});
