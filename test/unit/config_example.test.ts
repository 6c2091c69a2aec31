import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { readJsonc } from "../../src/config/jsonc.ts";
import { configSchema } from "../../src/config/schema.ts";
import type { AnySchema } from "../../src/config/structure.ts";

const EXAMPLE = new URL("../../config.example.jsonc", import.meta.url);
const ENV = {
  DATABASE_URL: "postgres://reader:pw@localhost:5432/shop",
  OPENSEARCH_URL: "https://search:9200",
  OPENSEARCH_PASSWORD: "pw",
  OPENSEARCH_API_KEY: "key",
};

test("the example config is valid as it stands, without a warning", async () => {
  const text = await readFile(EXAMPLE, "utf8");
  const { config, problems } = await loadConfig("x.jsonc", ENV, () => Promise.resolve(text));
  assert.deepEqual(problems, []);
  assert.deepEqual(config?.indexes.map(({ name }) => name), ["products", "orders"]);
  assert.deepEqual(config?.sinks, [{ type: "sqlite", name: "local", path: "driftless.db" }]);
});

test("the example config is valid with its commented-out lines too", async () => {
  const text = uncommented(await readFile(EXAMPLE, "utf8"));
  const read = (path: string) =>
    Promise.resolve(path === "x.jsonc" ? text : "-----BEGIN CERTIFICATE-----");
  const { config, problems } = await loadConfig("x.jsonc", ENV, read);
  assert.deepEqual(problems, []);
  assert.equal(config?.sinks.length, 5);
});

test("every key of the schema occurs in the example config", async () => {
  const { value } = readJsonc(uncommented(await readFile(EXAMPLE, "utf8")));
  const missing = missingKeys(value);
  assert.deepEqual(missing, []);
});

test("a key that the example lacks is found by that check", async () => {
  const text = uncommented(await readFile(EXAMPLE, "utf8"));
  for (const key of ["rowSecurity", "gzip", "references", "nulls", "stampTimezone", "any"]) {
    const { value } = readJsonc(text.replaceAll(`"${key}"`, '"other"'));
    assert.ok(missingKeys(value).some((each) => each.endsWith(`.${key}`)), key);
  }
});

/** Comment lines that begin like JSON are examples; `// "` and deeper. */
function uncommented(text: string): string {
  return text.replaceAll(
    /^(\s*)\/\/( +)(["{}\]].*)$/gm,
    (line, before, gap, rest: string) =>
      /^["}\]{].*[,{[]\s*$/.test(rest) ? `${before}${gap}${rest}` : line,
  );
}

/** Keys of the schema's objects that no object of the value uses. */
function missingKeys(value: unknown): readonly string[] {
  const root = configSchema as unknown as AnySchema;
  const known = new Map<AnySchema, Map<string, string>>();
  const seen = new Set<AnySchema>();
  const declare = (schema: AnySchema, path: string): void => {
    if (seen.has(schema)) return;
    seen.add(schema);
    for (const [key, entry] of Object.entries(schema.entries ?? {})) {
      const keys = known.get(entry) ?? new Map<string, string>();
      keys.set(key, `${path}.${key}`);
      known.set(entry, keys);
      declare(entry, `${path}.${key}`);
    }
    for (const option of schema.options ?? []) if (isSchema(option)) declare(option, path);
    if (schema.wrapped !== undefined) declare(schema.wrapped, path);
    if (schema.item !== undefined) declare(schema.item, `${path}[]`);
    if (schema.value !== undefined) declare(schema.value, `${path}.*`);
    if (schema.getter !== undefined) declare(schema.getter(undefined), path);
  };
  const use = (schema: AnySchema, value: unknown): void => {
    if (schema.wrapped !== undefined) return use(schema.wrapped, value);
    if (schema.getter !== undefined) return use(schema.getter(value), value);
    if (Array.isArray(value)) {
      for (const each of value) if (schema.item !== undefined) use(schema.item, each);
    } else if (typeof value === "object" && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        const entry = schema.entries?.[key];
        if (entry !== undefined) {
          known.get(entry)?.delete(key);
          use(entry, inner);
        } else if (schema.value !== undefined) use(schema.value, inner);
      }
    }
  };
  declare(root, "config");
  assert.ok(known.size > 90, `the schema was walked: ${known.size} keys`);
  use(root, value);
  return [...known.values()].flatMap((keys) => [...keys.values()]);
}

function isSchema(value: unknown): value is AnySchema {
  return typeof value === "object" && value !== null && "type" in value;
}
