/** What is done to the tables of relation_matrix_schema.ts: kind × depth × operation. */
import { type Depth, DEPTHS, HOSTS } from "./relation_matrix_schema.ts";

/** What a capture that sees only rows that are there, as they are, can't show. */
export type Lost =
  /** That a row of another table is gone from a document. */
  | "child"
  /** That a document's own row is gone. */
  | "root";

/** One case, with rows of its own. */
export interface Cell {
  /** The kind of relation, and how deep it is. */
  readonly group: string;
  readonly name: string;
  readonly kind: string;
  /** 0: not one of d1 to d4. */
  readonly depth: Depth | 0;
  /** Ids of its rows: from here up to 999 more. */
  readonly base: number;
  readonly seed: string;
  /** Transactions, in order. */
  readonly acts: readonly string[];
  readonly lost: readonly Lost[];
  /** The documents stay as they were. */
  readonly same: boolean;
  /** Where only the present row is seen, the sink has to be asked. */
  readonly asks: boolean;
  /** Writes every row that the case's documents are made of from above: the remedy for what is lost. */
  readonly touch: string;
}

/** Ids of a cell: `base` and what follows. */
export const CELL_IDS = 1000;

/**
 * An operation in SQL. `:a` and `:b` are rows of `:host` in two documents, those of the roots `:ra` and
 * `:rb` of `:root`; the rows between are `:c1a`, `:c2a` and so on; `:1` to `:99` are ids for others.
 */
interface Op {
  readonly name: string;
  readonly seed?: string;
  readonly act: string | readonly string[];
  readonly lost?: readonly Lost[] | Readonly<Partial<Record<Depth, readonly Lost[]>>>;
  readonly same?: boolean;
  readonly asks?: boolean;
}

const CHILD: readonly Lost[] = ["child"];
const ROOT: readonly Lost[] = ["root"];
const BOTH: readonly Lost[] = ["child", "root"];
/** A row that holds relations has another key: whether that shows by links from below or from above. */
const HOST_KEY: Readonly<Partial<Record<Depth, readonly Lost[]>>> = { 1: ROOT, 3: CHILD, 4: CHILD };

/** Rows of `t` that point up by one column. */
function children(t: string): readonly Op[] {
  const put = (rows: string) => `INSERT INTO ${t} (id, up, v) VALUES ${rows}`;
  const one = put("(:1, :a, 7)");
  const three = put("(:2, :a, 3), (:3, :a, 9), (:4, :a, 5)");
  const set = (what: string, where = "id = :1") => `UPDATE ${t} SET ${what} WHERE ${where}`;
  const go = `DELETE FROM ${t} WHERE id = :1`;
  return [
    { name: "a row comes", act: one },
    { name: "a row comes beside others", seed: three, act: put("(:1, :a, 1)") },
    { name: "a shown value changes", seed: one, act: set("v = 8") },
    { name: "a shown value becomes null", seed: one, act: set("v = NULL") },
    { name: "a row goes", seed: one, act: go, lost: CHILD },
    { name: "a row moves", seed: one, act: set("up = :b"), asks: true },
    {
      name: "two of three rows move",
      seed: `${three}; ${put("(:5, :b, 4)")}`,
      act: set("up = :b", "id IN (:2, :3)"),
      asks: true,
    },
    {
      name: "two rows change places",
      seed: put("(:1, :a, 7), (:2, :b, 8)"),
      act: set("up = CASE up WHEN :a THEN :b ELSE :a END", "id IN (:1, :2)"),
      asks: true,
    },
    { name: "a row moves and changes", seed: one, act: set("up = :b, v = 1"), asks: true },
    {
      name: "a row moves and moves back in one transaction",
      seed: one,
      act: `${set("up = :b")}; ${set("up = :a")}`,
      same: true,
    },
    {
      name: "a row moves on and on in transactions of its own",
      seed: one,
      act: [set("up = :b"), set("up = NULL"), set("up = :a, v = 8"), set("up = :b")],
      asks: true,
    },
    {
      name: "a row moves in a transaction that is rolled back",
      seed: one,
      act: `${set("up = :b, v = 9")}; ROLLBACK; BEGIN`,
      same: true,
    },
    { name: "a row is unlinked", seed: one, act: set("up = NULL"), asks: true },
    { name: "a row is linked", seed: put("(:1, NULL, 7)"), act: set("up = :a") },
    { name: "a row's key changes", seed: one, act: set("id = :9"), same: t === "aw" },
    {
      name: "a row's key changes and it moves",
      seed: one,
      act: set("id = :9, up = :b"),
      lost: CHILD,
    },
    { name: "a row comes and moves in one transaction", act: `${one}; ${set("up = :b")}` },
    { name: "a row comes and goes in one transaction", act: `${one}; ${go}`, same: true },
    {
      name: "a row moves and goes in one transaction",
      seed: one,
      act: `${set("up = :b")}; ${go}`,
      lost: CHILD,
    },
    {
      name: "a row goes and comes again elsewhere",
      seed: one,
      act: `${go}; ${put("(:1, :b, 8)")}`,
      asks: true,
    },
    {
      name: "the parent's key changes",
      seed: one,
      act: "UPDATE :host SET id = :90 WHERE id = :a",
      lost: HOST_KEY,
    },
    {
      name: "the parent's key changes and its rows follow",
      seed: one,
      act: `UPDATE :host SET id = :90 WHERE id = :a; ${set("up = :90")}`,
      asks: true,
    },
  ];
}

/** The first of several alone. */
const FIRST: readonly Op[] = [
  ...children("ho"),
  ...(() => {
    const two = "INSERT INTO ho (id, up, v, pos) VALUES (:1, :a, 7, 2), (:2, :a, 8, 3)";
    const set = (what: string) => `UPDATE ho SET ${what} WHERE id = :1`;
    return [
      { name: "another comes before it", seed: two, act: "INSERT INTO ho VALUES (:3, :a, 9, 1)" },
      {
        name: "another comes after it",
        seed: two,
        act: "INSERT INTO ho VALUES (:3, :a, 9, 4)",
        same: true,
      },
      { name: "another becomes the first", seed: two, act: set("pos = 9") },
      { name: "the first moves away", seed: two, act: set("up = :b"), asks: true },
      { name: "the first goes", seed: two, act: "DELETE FROM ho WHERE id = :1", lost: CHILD },
      { name: "the first goes last by a null", seed: two, act: set("pos = NULL") },
      {
        name: "the second moves away",
        seed: two,
        act: "UPDATE ho SET up = :b WHERE id = :2",
        asks: true,
      },
    ];
  })(),
];

/** A filter, by the column that it names: `shown` of hw, `paid` of aw. */
function filtered(t: string, flag: string): readonly Op[] {
  const put = (on: boolean) => `INSERT INTO ${t} (id, up, v, ${flag}) VALUES (:1, :a, 7, ${on})`;
  const set = (what: string) => `UPDATE ${t} SET ${what} WHERE id = :1`;
  return [
    ...children(t),
    { name: "a row leaves the filter", seed: put(true), act: set(`${flag} = false`) },
    { name: "a row leaves the filter by a null", seed: put(true), act: set(`${flag} = NULL`) },
    { name: "a row enters the filter", seed: put(false), act: set(`${flag} = true`) },
    { name: "a row outside the filter changes", seed: put(false), act: set("v = 8"), same: true },
    { name: "a row outside the filter moves", seed: put(false), act: set("up = :b"), same: true },
    {
      name: "a row moves and enters the filter",
      seed: put(false),
      act: set(`up = :b, ${flag} = true`),
    },
    {
      name: "a row moves and leaves the filter",
      seed: put(true),
      act: set(`up = :b, ${flag} = false`),
      asks: true,
    },
    {
      name: "a row leaves the filter, then moves",
      seed: put(true),
      act: [set(`${flag} = false`), set("up = :b")],
    },
    {
      name: "a row outside the filter moves, then enters it",
      seed: put(false),
      act: [set("up = :b"), set(`${flag} = true`)],
    },
  ];
}

/** An ordered list of two at most. */
const LIMITED: readonly Op[] = [
  ...children("hl"),
  ...(() => {
    const three =
      "INSERT INTO hl (id, up, v, pos) VALUES (:1, :a, 1, 1), (:2, :a, 2, 2), (:3, :a, 3, 3)";
    const set = (what: string, id = ":1") => `UPDATE hl SET ${what} WHERE id = ${id}`;
    return [
      { name: "the order changes within the list", seed: three, act: set("pos = 5", ":1") },
      { name: "the order changes among the shown", seed: three, act: set("pos = 0", ":2") },
      { name: "one beyond it comes in by its order", seed: three, act: set("pos = 0", ":3") },
      {
        name: "one comes and pushes another out",
        seed: three,
        act: "INSERT INTO hl VALUES (:4, :a, 4, 0)",
      },
      {
        name: "one comes beyond it",
        seed: three,
        act: "INSERT INTO hl VALUES (:4, :a, 4, 9)",
        same: true,
      },
      {
        name: "one of it goes, and the next comes in",
        seed: three,
        act: "DELETE FROM hl WHERE id = :1",
        lost: CHILD,
      },
      {
        name: "one of it moves, and the next comes in",
        seed: three,
        act: set("up = :b"),
        asks: true,
      },
      { name: "one beyond it moves", seed: three, act: set("up = :b", ":3"), asks: true },
      { name: "one beyond it changes", seed: three, act: set("v = 9", ":3"), same: true },
      {
        name: "equal places are ordered by key",
        seed: three,
        act: set("pos = 2", ":3"),
        same: true,
      },
    ];
  })(),
];

/** Rows that point at two columns of their parent which aren't its key. */
const COMPOSITE_CHILDREN: readonly Op[] = (() => {
  const put = (id: string, of: string) => `INSERT INTO hc VALUES (${id}, ${of}, 'k' || ${of}, 7)`;
  const one = put(":1", ":a");
  const set = (what: string) => `UPDATE hc SET ${what} WHERE id = :1`;
  const host = (what: string, row = ":a") => `UPDATE :host SET ${what} WHERE id = ${row}`;
  return [
    { name: "a row comes", act: one },
    { name: "a shown value changes", seed: one, act: set("v = 8") },
    { name: "a row goes", seed: one, act: "DELETE FROM hc WHERE id = :1", lost: CHILD },
    { name: "a row moves", seed: one, act: set("upa = :b, upb = 'k' || :b"), asks: true },
    { name: "a row leaves by one column", seed: one, act: set("upb = 'k' || :b"), asks: true },
    { name: "a row is unlinked by one null", seed: one, act: set("upa = NULL"), asks: true },
    {
      name: "a row comes in two steps",
      seed: put(":1", ":90"),
      act: [set("upa = :a"), set("upb = 'k' || :a")],
    },
    { name: "a row's key changes", seed: one, act: set("id = :9") },
    { name: "the parent's columns change", seed: one, act: host("ka = :90") },
    {
      name: "the parent's columns come to fit",
      seed: put(":1", ":90"),
      act: host("ka = :90, kb = 'k' || :90"),
    },
    { name: "the parent lets go by a null", seed: one, act: host("kb = NULL") },
    {
      name: "another takes the parent's columns",
      seed: one,
      act: `${host("ka = :90")}; ${host("ka = :a, kb = 'k' || :a", ":b")}`,
    },
    {
      name: "the parent's columns change and its rows follow",
      seed: one,
      act: `${host("ka = :90, v = 8")}; ${set("upa = :90")}`,
    },
  ];
})();

/** Rows with a key of two texts, of which neither links. */
const COMPOSITE_KEY: readonly Op[] = (() => {
  // Awkward ones: what separates the parts inside of them, nothing, and more than a ref may be long.
  const keys = {
    "a plain key": "'p', 'q'",
    "a key with commas and signs": "'p,%', ',%2C'",
    "a key of other letters": "'ä\"\\', '🙂'",
    "an empty part of its key": "'', ''",
    "a long key": "repeat('p', 150), repeat('ü', 151)",
  };
  const put = (key: string, v = ":1") => `INSERT INTO hk (a, b, up, v) VALUES (${key}, :a, ${v})`;
  const set = (what: string) => `UPDATE hk SET ${what} WHERE v = :1`;
  const own = "':1', 'q'";
  return [
    { name: "a row comes", act: put(own) },
    { name: "a row goes", seed: put(own), act: "DELETE FROM hk WHERE v = :1", lost: CHILD },
    { name: "a shown value changes", seed: put(own), act: set("v = 8") },
    { name: "one part of a row's key changes", seed: put(own), act: set("b = 'r'") },
    {
      name: "one part of a row's key changes and it moves",
      seed: put(own),
      act: set("b = 'r', up = :b"),
      lost: CHILD,
    },
    ...Object.entries(keys).map(([what, key]) => ({
      name: `a row with ${what} moves`,
      seed: put(key.replace("'", "':1/")),
      act: set("up = :b"),
      asks: true,
    })),
    { name: "a row is unlinked", seed: put(own), act: set("up = NULL"), asks: true },
  ];
})();

/** The row points at a target by its primary key. */
const BELONGS: readonly Op[] = (() => {
  const target = "INSERT INTO bt (id, v) VALUES (:1, 7)";
  const point = (row: string, at: string) => `UPDATE :host SET bt = ${at} WHERE id = ${row}`;
  const linked = `${target}; ${point(":a", ":1")}`;
  const both = `${linked}; ${point(":b", ":1")}`;
  const set = (what: string) => `UPDATE bt SET ${what} WHERE id = :1`;
  return [
    { name: "the target comes late", seed: point(":a", ":1"), act: target },
    { name: "a shown value changes", seed: linked, act: set("v = 8") },
    { name: "a value that two rows show changes", seed: both, act: set("v = 8") },
    { name: "the target goes", seed: both, act: "DELETE FROM bt WHERE id = :1", lost: BOTH },
    {
      name: "the target goes and comes again in one transaction",
      seed: linked,
      act: "DELETE FROM bt WHERE id = :1; INSERT INTO bt (id, v) VALUES (:1, 8)",
    },
    {
      name: "the row points at another",
      seed: `${linked}; INSERT INTO bt VALUES (:2, 8)`,
      act: point(":a", ":2"),
    },
    { name: "the row points at nothing", seed: linked, act: point(":a", "NULL") },
    { name: "the row points at something", seed: target, act: point(":a", ":1") },
    { name: "the row points at what isn't there", seed: linked, act: point(":a", ":2") },
    {
      name: "the row points elsewhere and back in one transaction",
      seed: linked,
      act: `${point(":a", ":2")}; ${point(":a", ":1")}`,
      same: true,
    },
    {
      name: "two rows change targets",
      seed: `${linked}; INSERT INTO bt VALUES (:2, 8); ${point(":b", ":2")}`,
      act: `${point(":a", ":2")}; ${point(":b", ":1")}`,
    },
    { name: "the target's key changes", seed: linked, act: set("id = :2"), lost: BOTH },
    {
      name: "the target's key becomes what another row points at",
      seed: `${linked}; ${point(":b", ":2")}`,
      act: set("id = :2"),
      lost: BOTH,
    },
    {
      name: "the target's key changes and the row follows",
      seed: linked,
      act: `${set("id = :2")}; ${point(":a", ":2")}`,
      // The old document of the target itself: it lists no other row than one of r1.
      lost: { 2: ROOT, 3: ROOT, 4: ROOT },
      asks: true,
    },
    {
      name: "a target that nothing points at changes",
      seed: target,
      act: set("v = 8"),
    },
  ];
})();

/** The row points at a unique column that isn't the target's key. */
const BELONGS_UNIQUE: readonly Op[] = (() => {
  const target = "INSERT INTO bu VALUES (:1, 'x' || :1, 7)";
  const point = (row: string, at: string) => `UPDATE :host SET bu = ${at} WHERE id = ${row}`;
  const linked = `${target}; ${point(":a", "'x' || :1")}`;
  const set = (what: string, id = ":1") => `UPDATE bu SET ${what} WHERE id = ${id}`;
  return [
    { name: "the target comes late", seed: point(":a", "'x' || :1"), act: target },
    { name: "a shown value changes", seed: linked, act: set("v = 8") },
    { name: "the target goes", seed: linked, act: "DELETE FROM bu WHERE id = :1", lost: CHILD },
    {
      name: "the row points at another",
      seed: `${linked}; INSERT INTO bu VALUES (:2, 'x' || :2, 8)`,
      act: point(":a", "'x' || :2"),
    },
    { name: "the row points at nothing", seed: linked, act: point(":a", "NULL") },
    { name: "the target's column changes", seed: linked, act: set("code = 'y' || :1"), asks: true },
    { name: "the target's column becomes null", seed: linked, act: set("code = NULL"), asks: true },
    {
      name: "the target's column becomes what another row points at",
      seed: `${linked}; ${point(":b", "'x' || :2")}`,
      act: set("code = 'x' || :2"),
      asks: true,
    },
    {
      name: "two targets change columns",
      seed: `${linked}; INSERT INTO bu VALUES (:2, 'x' || :2, 8); ${point(":b", "'x' || :2")}`,
      act: `${set("code = NULL")}; ${set("code = 'x' || :1", ":2")}; ${set("code = 'x' || :2")}`,
      asks: true,
    },
    { name: "the target's own key changes", seed: linked, act: set("id = :2") },
  ];
})();

/** The row points at a key of two columns. */
const BELONGS_COMPOSITE: readonly Op[] = (() => {
  const target = "INSERT INTO bc VALUES (:1, 'x,%', 7)";
  const point = (row: string, a: string, b = "'x,%'") =>
    `UPDATE :host SET bca = ${a}, bcb = ${b} WHERE id = ${row}`;
  const linked = `${target}; ${point(":a", ":1")}`;
  const set = (what: string) => `UPDATE bc SET ${what} WHERE a = :1`;
  return [
    { name: "the target comes late", seed: point(":a", ":1"), act: target },
    { name: "a shown value changes", seed: linked, act: set("v = 8") },
    { name: "the target goes", seed: linked, act: "DELETE FROM bc WHERE a = :1", lost: CHILD },
    {
      name: "one part of the target's key changes",
      seed: linked,
      act: set("b = 'y'"),
      lost: CHILD,
    },
    {
      name: "the row points at another by one part",
      seed: `${linked}; INSERT INTO bc VALUES (:1, 'y', 8)`,
      act: point(":a", ":1", "'y'"),
    },
    { name: "the row points at nothing by one null", seed: linked, act: point(":a", ":1", "NULL") },
    { name: "the row points at something", seed: target, act: point(":a", ":1") },
  ];
})();

/** A junction `j` to `t`. `own`: its rows have an id of their own; else the two links are their key. */
function junction(t: string, j: string, own: boolean): readonly Op[] {
  const targets = `INSERT INTO ${t} (id, v) VALUES (:1, 7), (:2, 8)`;
  const link = (id: string, l: string, r: string) =>
    `INSERT INTO ${j} (${own ? "id, " : ""}l, r) VALUES (${own ? `${id}, ` : ""}${l}, ${r})`;
  const seed = `${targets}; ${link(":11", ":a", ":1")}`;
  const set = (what: string) => `UPDATE ${j} SET ${what} WHERE l = :a AND r = :1`;
  const target = (what: string) => `UPDATE ${t} SET ${what} WHERE id = :1`;
  // Where the links are the key, one that changes on the left leaves nothing behind.
  const left = own ? { asks: true } : { lost: CHILD };
  return [
    { name: "a link comes", seed: targets, act: link(":11", ":a", ":1") },
    { name: "a link goes", seed, act: `DELETE FROM ${j} WHERE l = :a`, lost: CHILD },
    {
      name: "a link comes and goes in one transaction",
      seed: targets,
      act: `${link(":11", ":a", ":1")}; DELETE FROM ${j} WHERE l = :a`,
      same: true,
    },
    { name: "a link moves to another target", seed, act: set("r = :2") },
    { name: "a link moves to another row", seed, act: set("l = :b"), ...left },
    { name: "a link moves on both sides", seed, act: set("l = :b, r = :2"), ...left },
    { name: "a link moves to a target that isn't there", seed, act: set("r = :3") },
    { name: "a shown value of the target changes", seed, act: target("v = 9") },
    {
      name: "a value that two rows show changes",
      seed: `${seed}; ${link(":12", ":b", ":1")}`,
      act: target("v = 9"),
    },
    { name: "the target comes late", seed: link(":11", ":a", ":1"), act: targets },
    { name: "the target goes", seed, act: `DELETE FROM ${t} WHERE id = :1`, lost: CHILD },
    { name: "the target's key changes", seed, act: target("id = :3"), lost: CHILD },
    {
      name: "the target's key changes and the links follow",
      seed,
      act: `${target("id = :3")}; ${set("r = :3")}`,
    },
    {
      name: "the row's key changes and the links follow",
      seed,
      act: `UPDATE :host SET id = :90 WHERE id = :a; ${set("l = :90")}`,
      ...(own ? { asks: true } : { lost: HOST_KEY }),
    },
    ...(own
      ? [
        { name: "a link is unlinked on the left", seed, act: set("l = NULL"), asks: true },
        { name: "a link is unlinked on the right", seed, act: set("r = NULL") },
        { name: "a link's own key changes", seed, act: set("id = :19"), same: true },
        {
          name: "a second link to the same target comes",
          seed,
          act: link(":12", ":a", ":1"),
          same: true,
        },
        {
          name: "one of two links to the same target moves",
          seed: `${seed}; ${link(":12", ":a", ":1")}`,
          act: `UPDATE ${j} SET l = :b WHERE id = :12`,
        },
        {
          name: "one of two links to the same target goes",
          seed: `${seed}; ${link(":12", ":a", ":1")}`,
          act: `DELETE FROM ${j} WHERE id = :12`,
          same: true,
        },
        {
          name: "the last of two links to the same target moves",
          seed: `${seed}; ${link(":12", ":a", ":1")}`,
          act: [`UPDATE ${j} SET l = :b WHERE id = :12`, `UPDATE ${j} SET l = :b WHERE id = :11`],
          asks: true,
        },
      ]
      : []),
  ];
}

/** The document's own row. */
const ROOTS: readonly Op[] = (() => {
  const set = (what: string) => `UPDATE :root SET ${what} WHERE id = :ra`;
  const go = "DELETE FROM :root WHERE id = :ra";
  return [
    { name: "the row comes", act: "INSERT INTO :root (id, v) VALUES (:9, 1)" },
    { name: "a shown value changes", act: set("v = 8") },
    { name: "the row goes", act: go, lost: ROOT },
    {
      name: "the row comes and goes in one transaction",
      act: "INSERT INTO :root (id, v) VALUES (:9, 1); DELETE FROM :root WHERE id = :9",
      same: true,
    },
    {
      name: "the row goes and comes again",
      act: `${go}; INSERT INTO :root (id, v) VALUES (:ra, 9)`,
    },
    { name: "the row's key changes", act: set("id = :9"), lost: ROOT },
    { name: "the row leaves the filter", act: set("live = false") },
    { name: "the row leaves the filter by a null", act: set("live = NULL") },
    { name: "the row enters the filter", seed: set("live = false"), act: set("live = true") },
    { name: "the row is deleted softly", act: set("gone = true") },
    { name: "the row comes back", seed: set("gone = true"), act: set("gone = false, v = 3") },
    {
      name: "the row changes while it is filtered out",
      seed: set("live = false"),
      act: set("v = 8"),
      same: true,
    },
  ];
})();

/** What each row that holds relations shows while those above it change. */
const BELOW =
  "INSERT INTO hm VALUES (:1, :a, 7); INSERT INTO bt VALUES (:2, 8); INSERT INTO ag VALUES (:3, :a, 5); " +
  "UPDATE :host SET bt = :2 WHERE id = :a; INSERT INTO nt VALUES (:4, 1); INSERT INTO nj VALUES (:5, :a, :4)";

/** Rows of c1: below the root, by their own column. Depths 2 to 4. */
const C1: readonly Op[] = (() => {
  const seed = BELOW;
  const set = (what: string) => `UPDATE c1 SET ${what} WHERE id = :c1a`;
  const dangling: Readonly<Partial<Record<Depth, readonly Lost[]>>> = {};
  return [
    {
      name: "a row comes with all below it",
      seed,
      act:
        "INSERT INTO c1 (id, up, next, v) VALUES (:9, :rb, :c2a, 1); INSERT INTO hm VALUES (:8, :9, 1)",
    },
    { name: "a shown value changes", seed, act: set("v = 9") },
    { name: "a row goes", seed, act: "DELETE FROM c1 WHERE id = :c1a", lost: CHILD },
    { name: "a row moves with all below it", seed, act: set("up = :rb"), asks: true },
    { name: "a row is unlinked", seed, act: set("up = NULL"), asks: true },
    {
      name: "a row moves, and one below it changes at once",
      seed,
      act: `${set("up = :rb")}; UPDATE hm SET v = 0 WHERE id = :1`,
      asks: true,
    },
    {
      name: "a row moves, and one below it moves the other way",
      seed,
      act: `${set("up = :rb")}; UPDATE hm SET up = :b WHERE id = :1`,
      asks: true,
    },
    {
      name: "a row moves, then one below it moves",
      seed,
      act: [
        set("up = :rb"),
        "UPDATE hm SET up = :b WHERE id = :1",
        "UPDATE c1 SET up = :ra WHERE id = :c1b",
      ],
      asks: true,
    },
    { name: "a row's key changes", seed, act: set("id = :9"), lost: dangling },
    { name: "a row's key changes and it moves", seed, act: set("id = :9, up = :rb"), lost: CHILD },
    {
      name: "the root's key changes and the rows follow",
      seed,
      act: "UPDATE :root SET id = :9 WHERE id = :ra; UPDATE c1 SET up = :9 WHERE up = :ra",
      asks: true,
    },
  ];
})();

/** Rows of c2, which rows of c1 point at. Depths 3 and 4. */
const C2: readonly Op[] = (() => {
  const seed = BELOW;
  const shared = `${BELOW}; UPDATE c1 SET next = :c2a WHERE id = :c1b`;
  const set = (what: string) => `UPDATE c2 SET ${what} WHERE id = :c2a`;
  return [
    { name: "a shown value changes", seed, act: set("v = 9") },
    { name: "a shown value of a shared row changes", seed: shared, act: set("v = 9") },
    {
      name: "a row below a shared one changes",
      seed: shared,
      act: "UPDATE hm SET v = 9 WHERE id = :1",
    },
    {
      name: "a row below a shared one is unlinked",
      seed: shared,
      act: "UPDATE hm SET up = NULL WHERE id = :1",
      asks: true,
    },
    {
      name: "the row above points at another",
      seed,
      act: "UPDATE c1 SET next = :c2b WHERE id = :c1a",
    },
    {
      name: "the row above points at nothing",
      seed,
      act: "UPDATE c1 SET next = NULL WHERE id = :c1a",
    },
    { name: "the row goes", seed: shared, act: "DELETE FROM c2 WHERE id = :c2a", lost: CHILD },
    { name: "the row's key changes", seed, act: set("id = :9"), lost: CHILD },
    {
      name: "the row's key changes and what points at it follows",
      seed,
      act: `${set("id = :9")}; UPDATE c1 SET next = :9 WHERE id = :c1a`,
    },
  ];
})();

/** Rows of c3, which a junction leads to. Depth 4. */
const C3: readonly Op[] = (() => {
  const seed = BELOW;
  const shared = `${BELOW}; INSERT INTO cj VALUES (:c2b, :c3a)`;
  const set = (what: string) => `UPDATE cj SET ${what} WHERE l = :c2a`;
  return [
    { name: "a link in the middle comes", seed, act: "INSERT INTO cj VALUES (:c2b, :c3a)" },
    { name: "a link in the middle goes", seed, act: "DELETE FROM cj WHERE l = :c2a", lost: CHILD },
    {
      name: "a link in the middle moves on the left",
      seed: `${seed}; DELETE FROM cj WHERE l = :c2b`,
      act: set("l = :c2b"),
      lost: CHILD,
    },
    { name: "a link in the middle moves on the right", seed, act: set("r = :c3b") },
    { name: "a shown value changes", seed, act: "UPDATE c3 SET v = 9 WHERE id = :c3a" },
    { name: "the row goes", seed, act: "DELETE FROM c3 WHERE id = :c3a", lost: CHILD },
    {
      name: "a row below a shared one comes",
      seed: shared,
      act: "INSERT INTO hm VALUES (:8, :c3a, 1)",
    },
    {
      name: "a row below a shared one moves",
      seed: shared,
      act: "UPDATE hm SET up = NULL WHERE id = :1",
      asks: true,
    },
    {
      name: "a target below a shared one changes",
      seed: shared,
      act: "UPDATE bt SET v = 9 WHERE id = :2",
    },
  ];
})();

/** A table of which rows point at rows of it. */
const NODES: readonly Op[] = (() => {
  const seed = "INSERT INTO node VALUES (:1, NULL, 1), (:2, NULL, 2), (:3, :1, 3), (:4, :3, 4)";
  const set = (what: string, id: string) => `UPDATE node SET ${what} WHERE id = ${id}`;
  const lost = BOTH;
  return [
    { name: "a child comes", seed, act: "INSERT INTO node VALUES (:5, :1, 5)" },
    { name: "a leaf's value changes", seed, act: set("v = 9", ":4") },
    { name: "a value between changes", seed, act: set("v = 9", ":3") },
    { name: "the top's value changes", seed, act: set("v = 9", ":1") },
    { name: "a child moves with its own", seed, act: set("parent = :2", ":3"), asks: true },
    { name: "a leaf moves", seed, act: set("parent = :2", ":4"), asks: true },
    { name: "a leaf moves up", seed, act: set("parent = :1", ":4"), asks: true },
    { name: "a child is unlinked", seed, act: set("parent = NULL", ":3"), asks: true },
    { name: "a top is linked", seed, act: set("parent = :4", ":2") },
    { name: "a leaf goes", seed, act: "DELETE FROM node WHERE id = :4", lost },
    { name: "a node between goes", seed, act: "DELETE FROM node WHERE id = :3", lost },
    { name: "the top goes", seed, act: "DELETE FROM node WHERE id = :1", lost },
    { name: "a leaf's key changes", seed, act: set("id = :6", ":4"), lost: ROOT },
    { name: "a node between changes its key", seed, act: set("id = :6", ":3"), lost },
    {
      name: "a node between changes its key and its child follows",
      seed,
      act: `${set("id = :6", ":3")}; ${set("parent = :6", ":4")}`,
      asks: true,
    },
    { name: "a node points at itself", seed, act: set("parent = :4", ":4"), asks: true },
    {
      name: "a node no longer points at itself",
      seed: `${seed}; ${set("parent = :2", ":2")}`,
      act: set("parent = NULL", ":2"),
      asks: true,
    },
    {
      name: "parent and child change places",
      seed,
      act: `${set("parent = NULL", ":3")}; ${set("parent = :3", ":1")}`,
      asks: true,
    },
  ];
})();

const DEEP = (from: Depth): readonly Depth[] => DEPTHS.filter((depth) => depth >= from);

const KINDS: readonly {
  readonly kind: string;
  readonly ops: readonly Op[];
  readonly depths: readonly (Depth | 0)[];
}[] = [
  { kind: "belongsTo", ops: BELONGS, depths: DEPTHS },
  { kind: "belongsTo by a unique column", ops: BELONGS_UNIQUE, depths: DEPTHS },
  { kind: "belongsTo by two columns", ops: BELONGS_COMPOSITE, depths: DEPTHS },
  { kind: "hasOne", ops: FIRST, depths: DEPTHS },
  { kind: "hasMany", ops: children("hm"), depths: DEPTHS },
  { kind: "hasMany with a filter", ops: filtered("hw", "shown"), depths: DEPTHS },
  { kind: "hasMany with a limit", ops: LIMITED, depths: DEPTHS },
  { kind: "hasMany by two columns", ops: COMPOSITE_CHILDREN, depths: DEPTHS },
  { kind: "hasMany of rows with two key columns", ops: COMPOSITE_KEY, depths: DEPTHS },
  {
    kind: "manyToMany through rows without a key",
    ops: junction("xt", "xj", false),
    depths: DEPTHS,
  },
  { kind: "manyToMany", ops: junction("mt", "mj", false), depths: DEPTHS },
  { kind: "manyToMany through rows with a key", ops: junction("nt", "nj", true), depths: DEPTHS },
  { kind: "figures", ops: children("ag"), depths: DEPTHS },
  { kind: "a figure with a filter", ops: filtered("aw", "paid"), depths: DEPTHS },
  { kind: "figures through a junction", ops: junction("gt", "gj", true), depths: DEPTHS },
  { kind: "the document's own row", ops: ROOTS, depths: DEPTHS },
  { kind: "a level between, by hasMany", ops: C1, depths: DEEP(2) },
  { kind: "a level between, by belongsTo", ops: C2, depths: DEEP(3) },
  { kind: "a level between, by manyToMany", ops: C3, depths: DEEP(4) },
  { kind: "self-join", ops: NODES, depths: [0] },
];

/** Every case, for which the filter holds. */
export function cells(wanted: (cell: Cell) => boolean = () => true): readonly Cell[] {
  let number = 1;
  return KINDS.flatMap(({ kind, ops, depths }) =>
    depths.flatMap((depth) => ops.map((op) => cell(kind, depth, op, CELL_IDS * number++)))
  ).filter(wanted);
}

function cell(kind: string, depth: Depth | 0, op: Op, base: number): Cell {
  const bind = (sql: string) => bound(sql, depth, base);
  const { name, seed = "", act, lost = [], same = false, asks = false } = op;
  const range = `BETWEEN ${base} AND ${base + CELL_IDS - 1}`;
  const above = depth === 0 ? ["node"] : [`r${depth}`, "c1", "c2", "c3"];
  return {
    kind,
    depth,
    base,
    name,
    group: depth === 0 ? kind : `${kind}, depth ${depth}`,
    seed: `${depth === 0 ? "" : bind(tree(depth))}${bind(seed)}`,
    acts: (typeof act === "string" ? [act] : act).map(bind),
    lost: isList(lost) ? lost : depth === 0 ? [] : lost[depth] ?? [],
    same,
    asks,
    touch: above.map((each) => `UPDATE ${each} SET spare = 1 WHERE id ${range}`).join("; "),
  };
}

/** Two documents with one row on each level down to the one that relations hang on. */
function tree(depth: Depth): string {
  return ["a", "b"].map((x) =>
    `INSERT INTO :root (id, v) VALUES (:r${x}, 0); ` +
    [
      `INSERT INTO c1 (id, up, next, v) VALUES (:c1${x}, :r${x}, ${
        depth > 2 ? `:c2${x}` : "NULL"
      }, 1); `,
      `INSERT INTO c2 (id, v) VALUES (:c2${x}, 2); `,
      `INSERT INTO c3 (id, v) VALUES (:c3${x}, 3); INSERT INTO cj VALUES (:c2${x}, :c3${x}); `,
    ].slice(0, depth - 1).join("") +
    `UPDATE :host SET ka = id, kb = 'k' || id WHERE id = :${x}; `
  ).join("");
}

function bound(sql: string, depth: Depth | 0, base: number): string {
  return sql.replace(/:(host|root|r[ab]|c[123][ab]|[ab]|\d+)\b/g, (_, name: string) => {
    if (/^\d/.test(name)) return String(base + 100 + Number(name));
    if (depth === 0) throw new Error(`Cannot bind :${name}: there is no tree`);
    if (name === "host") return HOSTS[depth];
    if (name === "root") return `r${depth}`;
    const side = name.endsWith("a") ? 1 : 11;
    if (name.length === 1) return String(base + side + depth - 1);
    return String(base + side + (name.startsWith("r") ? 0 : Number(name[1])));
  });
}

function isList(lost: NonNullable<Op["lost"]>): lost is readonly Lost[] {
  return Array.isArray(lost);
}
