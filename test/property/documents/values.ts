/**
 * Values as Postgres prints them (`column::text`): pools of them, their order, and the JSON that a
 * field shows. Written from design 4.1 and 4.3, without a look at what driftless sends to Postgres.
 */
import type { ColumnType } from "./world.ts";

/** A JSON value whose numbers are digits; `about`: a double that Postgres may round otherwise. */
export type Expected =
  | null
  | boolean
  | string
  | Digits
  | About
  | readonly Expected[]
  | ReadonlyMap<string, Expected>;
export interface Digits {
  readonly digits: string;
}
export interface About {
  readonly about: number;
}

export const SQL_TYPES: Readonly<Record<ColumnType, string>> = {
  int: "int",
  bigint: "bigint",
  numeric2: "numeric(12,2)",
  numeric: "numeric",
  float: "float8",
  text: "text",
  bool: "boolean",
  timestamptz: "timestamptz",
  timestamp: "timestamp",
  date: "date",
  uuid: "uuid",
  texts: "text[]",
  ints: "int[]",
  jsonb: "jsonb",
};

/** Values that are no keys; of numeric no two are equal in value and not in digits. */
export const POOLS: Readonly<Record<ColumnType, readonly string[]>> = {
  int: ["-1", "0", "1", "2", "3", "7"],
  bigint: ["1", "2", "-5", "9007199254740993"],
  numeric2: ["0.00", "1.10", "2.50", "10.00", "-3.33", "NaN"],
  numeric: ["1", "2.50", "0.001", "-7.25", "12345678901234567890.5", "Infinity"],
  float: ["0.5", "1.25", "-2", "3", "NaN", "Infinity"],
  text: ["", " a ", "A", "a", "b", "B,c", "100%", "é", "😀", 'q"\\', "x_y", "two\nlines", "ملف"],
  bool: ["true", "false"],
  timestamptz: [
    "2024-01-02 03:04:05+00",
    "2024-01-02 03:04:05.125+00",
    "1999-12-31 23:59:59.999999+00",
  ],
  timestamp: ["2024-01-02 03:04:05", "2024-02-29 00:00:00.5", "infinity"],
  date: ["2024-02-29", "0987-06-05", "2031-01-01"],
  uuid: [
    "00000000-0000-0000-0000-000000000000",
    "6f9619ff-8b86-d011-b42d-00c04fc964ff",
    "ffffffff-0000-4000-8000-000000000001",
  ],
  texts: ["{}", '{a,"b c",NULL}', '{"q\\"\\\\"}', "{A}"],
  ints: ["{}", "{1,NULL,-3}", "{2}"],
  jsonb: ['{"a": 1.10, "b": [true, null]}', "[]", '{"é": {"": "x"}}'],
};

/** Values of keys: few, so that what is written meets what is there. */
export const KEY_POOLS: Partial<Readonly<Record<ColumnType, readonly string[]>>> = {
  int: ["1", "2", "3", "4", "5"],
  bigint: ["1", "2", "9007199254740993", "9007199254740994"],
  uuid: POOLS.uuid,
  text: ["a", "a,b", "%", "", "%25", "ü/?#", "q\"\\'", "😀", "null"],
};

/** `long`: also one that is longer than an id. */
export function keyPool(type: ColumnType, long: boolean): readonly string[] {
  const pool = KEY_POOLS[type] ?? POOLS[type];
  return long && type === "text" ? [...pool, "x".repeat(520)] : pool;
}

/** Postgres's order of two values of a type; text by its bytes (the database is C or C.UTF-8). */
export function compareValues(type: ColumnType, a: string, b: string): number {
  switch (type) {
    case "int":
    case "bigint":
    case "numeric2":
    case "numeric":
    case "float":
      return compareNumbers(a, b);
    case "bool":
      return Number(a === "true") - Number(b === "true");
    case "timestamptz":
    case "timestamp":
    case "date":
      return compareBytes(moment(a), moment(b));
    default:
      return compareBytes(a, b);
  }
}

/** An exact decimal: `units` × 10^−`scale`. */
export interface Decimal {
  readonly units: bigint;
  readonly scale: number;
}

/** Undefined: not finite. */
export function decimalOf(text: string): Decimal | undefined {
  const found = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (found === null) {
    if (/^(?:NaN|-?Infinity)$/.test(text)) return undefined;
    throw new RangeError(`not a plain number: ${text}`);
  }
  const [, sign, whole = "", fraction = ""] = found;
  const units = BigInt(whole + fraction);
  return { units: sign === "-" ? -units : units, scale: fraction.length };
}

export function addDecimals(a: Decimal, b: Decimal): Decimal {
  const scale = Math.max(a.scale, b.scale);
  return { units: unitsAt(a, scale) + unitsAt(b, scale), scale };
}

export function decimalText({ units, scale }: Decimal): string {
  const digits = (units < 0n ? -units : units).toString().padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale);
  const sign = units < 0n ? "-" : "";
  return scale === 0 ? sign + whole : `${sign}${whole}.${digits.slice(-scale)}`;
}

function unitsAt({ units, scale }: Decimal, wanted: number): bigint {
  return units * 10n ** BigInt(wanted - scale);
}

function compareNumbers(a: string, b: string): number {
  const one = decimalOf(a);
  const other = decimalOf(b);
  if (one === undefined || other === undefined) return rank(a) - rank(b);
  const scale = Math.max(one.scale, other.scale);
  const difference = unitsAt(one, scale) - unitsAt(other, scale);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** NaN is above everything. */
function rank(text: string): number {
  return { "NaN": 2, "Infinity": 1, "-Infinity": -1 }[text] ?? 0;
}

/** With all six digits of the second: then the order of times is that of their texts. */
function moment(text: string): string {
  if (text === "infinity") return "~";
  if (text === "-infinity") return "";
  const found = /^(.{10}) (.{8})(?:\.(\d+))?/.exec(text);
  if (found === null) return text;
  return `${found[1]} ${found[2]}.${(found[3] ?? "").padEnd(6, "0")}`;
}

const encoder = new TextEncoder();

export function compareBytes(a: string, b: string): number {
  const one = encoder.encode(a);
  const other = encoder.encode(b);
  for (let at = 0; at < one.length && at < other.length; at++) {
    const difference = (one[at] ?? 0) - (other[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return one.length - other.length;
}

/** A column's value as a field of that type shows it. */
export function shown(field: string, type: ColumnType, text: string | null): Expected {
  if (text === null) return null;
  if (type === "jsonb") return parseExactly(text);
  if (type === "texts" || type === "ints") {
    const element = type === "texts" ? "text" : "int";
    return parseArray(text).map((each) => shown(field, element, each));
  }
  if (type === "timestamptz" || type === "timestamp" || type === "date") {
    if (text.endsWith("infinity")) return null;
    return text.replace(" ", "T").replace(/\+00$/, "+00:00");
  }
  if (["text", "keyword", "wildcard", "match_only_text", "search_as_you_type"].includes(field)) {
    return text;
  }
  if (type === "bool") return text === "true";
  if (type === "text" || type === "uuid") return text;
  return decimalOf(text) === undefined ? null : { digits: text };
}

/** A JSON text, its numbers as digits. */
export function parseExactly(text: string): Expected {
  return parse(text, (_key, value, { source }) => {
    if (typeof value === "number") return { digits: source };
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? new Map(Object.entries(value)) : value;
  }) as Expected;
}

/** The library types don't know the third parameter yet. */
const { parse } = JSON as unknown as {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source: string }) => unknown,
  ): unknown;
};

/** The elements of an array's text, of one dimension. */
function parseArray(text: string): readonly (string | null)[] {
  const elements: (string | null)[] = [];
  const element = /("(?:[^"\\]|\\.)*"|[^,{}]+)/gs;
  for (const [, found = ""] of text.slice(1, -1).matchAll(element)) {
    if (found.startsWith('"')) elements.push(found.slice(1, -1).replace(/\\(.)/gs, "$1"));
    else elements.push(found === "NULL" ? null : found);
  }
  return elements;
}

/** Where two differ and how; undefined: they don't. `sorted`: the order of fields doesn't count. */
export function firstDifference(
  is: Expected,
  should: Expected,
  sorted = false,
  path = "",
): string | undefined {
  const differs = `${path === "" ? "." : path} is ${tell(is)}, should be ${tell(should)}`;
  if (should === null || typeof should !== "object") return is === should ? undefined : differs;
  if (is === null || typeof is !== "object") return differs;
  if (should instanceof Map) {
    if (!(is instanceof Map)) return differs;
    const names = (map: ReadonlyMap<string, Expected>) =>
      (sorted ? [...map.keys()].sort() : [...map.keys()]).join("\0");
    if (names(is) !== names(should)) return differs;
    return firstOf(
      should.keys(),
      (key) =>
        firstDifference(is.get(key) ?? null, should.get(key) ?? null, sorted, `${path}.${key}`),
    );
  }
  if (Array.isArray(should)) {
    if (!Array.isArray(is) || is.length !== should.length) return differs;
    return firstOf(
      should.keys(),
      (at) => firstDifference(is[at], should[at], sorted, `${path}[${at}]`),
    );
  }
  const digits = "digits" in is ? is.digits : undefined;
  if (digits === undefined) return differs;
  if ("digits" in should) return digits === should.digits ? undefined : differs;
  // An average: Postgres divides numerics to a number of digits that isn't ours to repeat.
  const about = "about" in should ? should.about : NaN;
  return Math.abs(Number(digits) - about) <= 1e-12 * Math.abs(about) ? undefined : differs;
}

function firstOf<K>(keys: Iterable<K>, look: (key: K) => string | undefined): string | undefined {
  for (const key of keys) {
    const found = look(key);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** As JSON. */
export function tell(value: Expected): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (value instanceof Map) {
    return `{${[...value].map(([key, each]) => `${JSON.stringify(key)}:${tell(each)}`).join(",")}}`;
  }
  if (Array.isArray(value)) return `[${value.map(tell).join(",")}]`;
  return "digits" in value ? String(value.digits) : `≈${"about" in value ? value.about : ""}`;
}
