import { arrayLiteral, type Database, type Row } from "./client.ts";

/** A column's type, seen through domains and through one level of array. */
export interface ColumnType {
  /** As the database prints it, with modifiers and domains: for fingerprints, and `typeText`. */
  readonly declared: string;
  /** SQL to cast to: of the element when it is an array, without modifiers and domains. */
  readonly cast: string;
  /** `typname` of the element: `int8`, `text`, `citext`, `point`. */
  readonly base: string;
  /** An enum's labels in order; undefined for other types. */
  readonly labels: readonly string[] | undefined;
  readonly isArray: boolean;
  /** The column's collation may call different texts equal. */
  readonly looseCollation?: boolean;
  /** Made of fields (a row type), which no scalar field can hold. */
  readonly isComposite: boolean;
  /** numeric(p, s): its digits; undefined when not declared. */
  readonly numeric: { readonly precision: number; readonly scale: number } | undefined;
  /** timestamp(n), time(n): digits kept of a second; absent: not declared. */
  readonly secondDigits?: number;
  /** Schema of the element's type, where its extension's functions are too. */
  readonly schema?: string;
  /** A range or a multirange: what its bounds are. */
  readonly range?: { readonly subtype: ColumnType; readonly isMulti: boolean };
  /** pgvector's `vector(n)`, `halfvec(n)`: how many numbers; absent: not declared. */
  readonly dimension?: number;
}

export interface TypeFacts {
  readonly oid: string;
  readonly name: string;
  /** b, c, d, e, p, r, m as in pg_type. */
  readonly kind: string;
  readonly category: string;
  readonly domainOf: string;
  readonly domainModifier: number;
  readonly element: string;
  readonly format: string;
  readonly labels: readonly string[] | undefined;
  readonly schema: string;
  /** Type oid of a range's or multirange's bounds; "0" for others. */
  readonly subtype: string;
  /** Attributes of a composite type, each with its type; "" for others. */
  readonly attributes: string;
}

/** The types named and all that they are made of, in one statement. */
export async function loadTypes(
  database: Database,
  oids: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, TypeFacts>> {
  const rows = await database.query(
    { text: TYPES, params: [arrayLiteral([...new Set(oids)])] },
    signal,
  );
  return new Map(rows.map((row) => [row[0] ?? "", factsOf(row)]));
}

/** Resolves (type oid, type modifier) against what `loadTypes` read. */
export function typeResolver(
  types: ReadonlyMap<string, TypeFacts>,
): (oid: string, modifier: number) => ColumnType {
  const through = (oid: string, modifier: number): [TypeFacts | undefined, number] => {
    let facts = types.get(oid);
    let digits = modifier;
    while (facts?.kind === "d") {
      digits = facts.domainModifier;
      facts = types.get(facts.domainOf);
    }
    return [facts, digits];
  };
  const resolve = (oid: string, modifier: number): ColumnType => {
    const [outer, outerDigits] = through(oid, modifier);
    const isArray = outer?.category === "A" && outer.element !== "0";
    const [inner, digits] = isArray ? through(outer.element, outerDigits) : [outer, outerDigits];
    return {
      declared: declaredOf(types.get(oid), inner, isArray, digits),
      cast: inner?.format ?? "text",
      base: inner?.name ?? "unknown",
      labels: inner?.labels,
      isArray,
      isComposite: inner?.kind === "c" || inner?.kind === "p",
      numeric: inner?.name === "numeric" && digits >= 4 ? numericOf(digits) : undefined,
      ...(digits >= 0 && digits <= 6 ? { secondDigits: digits } : {}),
      ...(inner === undefined ? {} : { schema: inner.schema }),
      ...(inner === undefined || inner.subtype === "0" ? {} : {
        range: { subtype: resolve(inner.subtype, -1), isMulti: inner.kind === "m" },
      }),
      ...(digits > 0 && VECTORS.has(inner?.name ?? "") ? { dimension: digits } : {}),
    };
  };
  return resolve;
}

/** A type as messages name it: without its modifier, which is a bare number in `declared`. */
export function typeText({ declared }: ColumnType): string {
  return declared.replace(/#\d+/, "");
}

const VECTORS = new Set(["vector", "halfvec"]);

function declaredOf(
  outer: TypeFacts | undefined,
  inner: TypeFacts | undefined,
  isArray: boolean,
  modifier: number,
): string {
  const base = `${inner?.format ?? "unknown"}${inner?.attributes ?? ""}${
    modifier >= 0 ? `#${modifier}` : ""
  }${isArray ? "[]" : ""}`;
  return outer?.kind === "d" ? `${outer.format} (${base})` : base;
}

/** numeric's modifier: precision in the high half, scale in eleven signed bits, both plus 4. */
function numericOf(modifier: number): { precision: number; scale: number } {
  const bits = modifier - 4;
  return { precision: (bits >> 16) & 0xffff, scale: ((bits & 0x7ff) ^ 1024) - 1024 };
}

function factsOf(row: Row): TypeFacts {
  const labels = row[8] ?? null;
  return {
    oid: row[0] ?? "",
    name: row[1] ?? "",
    kind: row[2] ?? "",
    category: row[3] ?? "",
    domainOf: row[4] ?? "0",
    domainModifier: Number(row[5] ?? -1),
    element: row[6] ?? "0",
    format: row[7] ?? "",
    labels: labels === null ? undefined : JSON.parse(labels) as string[],
    schema: row[9] ?? "",
    subtype: row[10] ?? "0",
    attributes: row[11] ?? "",
  };
}

/** format_type with -1 and not NULL: `character` would mean character(1), `bpchar` doesn't. */
const TYPES = `
WITH RECURSIVE used(oid) AS (
  SELECT unnest($1::oid[])
  UNION
  SELECT part.oid FROM used JOIN pg_type t ON t.oid = used.oid
  LEFT JOIN pg_range r ON t.oid IN (r.rngtypid, r.rngmultitypid)
  CROSS JOIN LATERAL (VALUES (t.typbasetype), (CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END),
    (coalesce(r.rngsubtype, 0))) AS part(oid)
  WHERE part.oid <> 0
)
SELECT t.oid, t.typname, t.typtype, t.typcategory, t.typbasetype, t.typtypmod,
  CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END, format_type(t.oid, -1),
  CASE WHEN t.typtype = 'e' THEN (
    SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder)::text FROM pg_enum e WHERE e.enumtypid = t.oid
  ) END, n.nspname, coalesce(r.rngsubtype, 0),
  CASE WHEN t.typtype = 'c' THEN coalesce((
    SELECT format('(%s)', string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum))
    FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '()') ELSE '' END
FROM used JOIN pg_type t ON t.oid = used.oid JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_range r ON t.oid IN (r.rngtypid, r.rngmultitypid)`;
