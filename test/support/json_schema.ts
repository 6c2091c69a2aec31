/**
 * What of JSON Schema (draft 7) the config's schema uses. Returns one line for each violation; throws
 * for a keyword that it doesn't know, so that nothing passes unlooked at.
 */
export function schemaViolations(schema: unknown, value: unknown): readonly string[] {
  const root = record(schema);
  const found: string[] = [];
  visit(root, value, "$");
  return found;

  function visit(schema: Record<string, unknown>, value: unknown, path: string): void {
    const fail = (what: string) => found.push(`${path}: ${what}`);
    for (const [keyword, wanted] of Object.entries(schema)) {
      if (NOTES.has(keyword)) continue;
      if (keyword === "$ref") {
        const [, section = "", name = ""] = String(wanted).split("/");
        const target = record(root[section])[name];
        if (target === undefined) throw new Error(`Cannot follow ${wanted}: it isn't there`);
        visit(record(target), value, path);
      } else if (keyword === "type") {
        if (!isOfType(value, String(wanted))) fail(`is no ${wanted}`);
      } else if (keyword === "enum") {
        if (!list(wanted).includes(value)) fail(`is none of ${list(wanted).join(", ")}`);
      } else if (keyword === "const") {
        if (value !== wanted) fail(`isn't ${wanted}`);
      } else if (keyword === "anyOf") {
        const one = list(wanted).some((each) =>
          schemaViolations({ ...record(each), $defs: root["$defs"] }, value).length === 0
        );
        if (!one) fail("fits none of the alternatives");
      } else if (keyword === "minimum") {
        if (typeof value === "number" && value < Number(wanted)) fail(`is below ${wanted}`);
      } else if (keyword === "maximum") {
        if (typeof value === "number" && value > Number(wanted)) fail(`is above ${wanted}`);
      } else if (keyword === "minLength") {
        if (typeof value === "string" && value.length < Number(wanted)) fail("is too short");
      } else if (keyword === "pattern") {
        if (typeof value === "string" && !new RegExp(String(wanted), "u").test(value)) {
          fail(`doesn't match ${wanted}`);
        }
      } else if (keyword === "items" && Array.isArray(value)) {
        value.forEach((each, i) => visit(record(wanted), each, `${path}[${i}]`));
      } else if (keyword === "minItems" && Array.isArray(value)) {
        if (value.length < Number(wanted)) fail(`has fewer than ${wanted}`);
      } else if (keyword === "minProperties" && isRecord(value)) {
        if (Object.keys(value).length < Number(wanted)) fail(`has fewer than ${wanted} keys`);
      } else if (keyword === "required" && isRecord(value)) {
        for (const key of list(wanted)) if (!(String(key) in value)) fail(`lacks ${key}`);
      } else if (keyword === "propertyNames" && isRecord(value)) {
        for (const key of Object.keys(value)) visit(record(wanted), key, `${path}.${key} (key)`);
      } else if (keyword === "properties" && isRecord(value)) {
        for (const [key, each] of Object.entries(record(wanted))) {
          if (key in value) visit(record(each), value[key], `${path}.${key}`);
        }
      } else if (keyword === "additionalProperties" && isRecord(value)) {
        const known = record(schema["properties"] ?? {});
        for (const key of Object.keys(value).filter((key) => !(key in known))) {
          if (wanted === false) fail(`has the unknown key ${key}`);
          else visit(record(wanted), value[key], `${path}.${key}`);
        }
      } else if (!KEYWORDS.has(keyword)) throw new Error(`Cannot check the keyword ${keyword}`);
    }
  }
}

const NOTES = new Set(["$schema", "$defs", "title", "description", "default", "examples"]);
/** Those that say nothing about a value of another type. */
const KEYWORDS = new Set([
  "items",
  "minItems",
  "minProperties",
  "required",
  "propertyNames",
  "properties",
  "additionalProperties",
]);

function isOfType(value: unknown, type: string): boolean {
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isRecord(value);
  if (type === "null") return value === null;
  if (type === "integer") return Number.isInteger(value);
  if (type === "string") return typeof value === "string";
  if (type === "boolean") return typeof value === "boolean";
  if (type === "number") return typeof value === "number";
  throw new Error(`Cannot check the type ${type}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function record(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
