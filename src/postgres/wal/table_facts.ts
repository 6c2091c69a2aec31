/**
 * What publication and catalog say of tables that are to be followed by the WAL: two statements,
 * whatever there are of them. They read the catalog alone and lock nothing, and every role may.
 */
import type { Database } from "../client.ts";
import type { PublicationState, WalTableFacts } from "./facts.ts";
import { loadFamilies, loadPublication, type Member, type Publication } from "./table_rows.ts";

export interface TableFacts {
  readonly publication: PublicationState | undefined;
  /** The publication's; "" where there is none. */
  readonly oid: string;
  /** By `id`, of the tables that are there. */
  readonly tables: ReadonlyMap<string, WalTableFacts>;
}

/** `version` is the server's `server_version_num`. */
export async function loadTableFacts(
  database: Database,
  version: number,
  publication: string,
  tables: readonly { readonly id: string; readonly oid: string }[],
  signal: AbortSignal,
): Promise<TableFacts> {
  const oids = [...new Set(tables.map(({ oid }) => oid))];
  const [read, families] = await Promise.all([
    loadPublication(database, version, publication, signal),
    loadFamilies(database, oids, signal),
  ]);
  return {
    publication: read?.state,
    oid: read?.oid ?? "",
    tables: new Map(tables.flatMap(({ id, oid }) => {
      const family = families.get(oid);
      const root = family?.find((member) => member.oid === oid);
      return family === undefined || root === undefined
        ? []
        : [[id, factsOf(root, family, read)] as const];
    })),
  };
}

function factsOf(
  root: Member,
  family: readonly Member[],
  publication: Publication | undefined,
): WalTableFacts {
  const below = family.filter(({ depth }) => depth >= 0);
  const entries = publication === undefined
    ? []
    : family.flatMap(({ oid }) => publication.relations.get(oid) ?? []);
  const lists = entries.flatMap(({ columns }) => columns === null ? [] : [columns]);
  const columns = lists.length === 0 ? undefined : common(lists);
  const identity = below.map((member) => member.identity).reduce((a, b) =>
    STRENGTH[a] <= STRENGTH[b] ? a : b
  );
  const marked = publication === undefined ? {} : publishedOf(root, family, publication, identity);
  return {
    owned: root.owned,
    published: marked.mark,
    filtered: entries.some(({ filtered }) => filtered),
    columns,
    identity,
    identityColumns: common(below.map((member) => member.identityColumns)),
    unfit: unfitOf(root, below) ?? marked.unfit,
    generated: root.columns.filter(({ name, generated }) => {
      if (generated === "") return false;
      if (columns !== undefined) return !columns.includes(name);
      return !(generated === "s" && publication?.sendsStored === true);
    }).map(({ name }) => name),
  };
}

/**
 * `WalTableFacts.published`, or why adding the table wouldn't help. A change of a partition comes under
 * its own name, or with `publish_via_partition_root` under the topmost of its ancestors that is
 * published: a table whose changes come under the name of what it is a partition of can't be told from
 * its siblings.
 */
function publishedOf(
  root: Member,
  family: readonly Member[],
  { state, oid, xmin, relations, schemas }: Publication,
  identity: WalTableFacts["identity"],
): { readonly mark?: string; readonly unfit?: string } {
  // What comes under the root's name doesn't show that a partition tells less of its rows than before.
  const told = state.viaRoot && root.kind === "p" ? [identity] : [];
  const mark = (entries: readonly string[]) => {
    if (state.omits.length > 0) return {};
    return { mark: JSON.stringify([oid, xmin, root.oid, ...told, ...entries]) };
  };
  const above = family.filter(({ depth }) => depth < 0);
  const unfit =
    `publication "${state.name}" sends its changes under the name of a table that it is ` +
    "a partition of (publish_via_partition_root)";
  if (state.allTables) return state.viaRoot && above.length > 0 ? { unfit } : mark([]);
  const entryOf = (member: Member): string | undefined => {
    const relation = relations.get(member.oid);
    if (relation !== undefined) return `r${relation.oid}`;
    const schema = schemas.get(member.schema);
    return schema === undefined ? undefined : `s${schema}`;
  };
  // The nearest first: one entry is enough, and another one that joins or goes alters nothing.
  const upwards = [...above].sort((a, b) => b.depth - a.depth);
  const inherited = upwards.map(entryOf).find((entry) => entry !== undefined);
  if (state.viaRoot && inherited !== undefined) return { unfit };
  const own = entryOf(root) ?? inherited;
  if (own !== undefined) return mark([own]);
  const byOid = new Map(family.map((member) => [member.oid, member]));
  const leaves = family.filter(({ depth, kind }) => depth > 0 && kind !== "p");
  const covered = leaves.map((leaf) => {
    let at: Member | undefined = leaf;
    while (at !== undefined && at.oid !== root.oid) {
      const entry = entryOf(at);
      if (entry !== undefined) return entry;
      at = at.parent === undefined ? undefined : byOid.get(at.parent);
    }
    return undefined;
  });
  const found = covered.filter((entry) => entry !== undefined);
  if (leaves.length === 0 || found.length < leaves.length) return {};
  return mark([...new Set(found)].sort());
}

function unfitOf(root: Member, below: readonly Member[]): string | undefined {
  if (root.system) return "it is one of the system's tables";
  const kind = KINDS[root.kind];
  if (kind !== undefined) return `it is ${kind}`;
  if (root.inherited) return "other tables inherit from it";
  for (const member of below) {
    const who = member === root ? "it" : `its partition ${member.name}`;
    if (member.kind === "f") return `${who} is a foreign table`;
    if (member.persistence === "u") return `${who} is unlogged`;
    if (member.persistence === "t") return `${who} is temporary`;
  }
  return undefined;
}

function common(lists: readonly (readonly string[])[]): readonly string[] {
  const [first = [], ...others] = lists;
  return first.filter((name) => others.every((list) => list.includes(name)));
}

const STRENGTH: Readonly<Record<WalTableFacts["identity"], number>> = {
  nothing: 0,
  index: 1,
  default: 2,
  full: 3,
};

const KINDS: Readonly<Record<string, string>> = {
  v: "a view",
  m: "a materialized view",
  f: "a foreign table",
};
