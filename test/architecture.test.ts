import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type SourceFiles, sourceViolations, strayEntries } from "./support/architecture.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

test("the sources keep the rules of the house", () => {
  assert.deepEqual(sourceViolations(readSources()), []);
});

test("the top level holds what it should and nothing else", () => {
  const gitignore = readFileSync(join(root, ".gitignore"), "utf8");
  assert.deepEqual(strayEntries(readdirSync(root), gitignore), []);
});

/** A house in order; each planted case adds or replaces files. */
const house: SourceFiles = {
  "src/main.ts": 'import process from "node:process";\nimport { run } from "./cli/run.ts";\n' +
    "process.exitCode = run();\n",
  "src/cli/run.ts": 'import { app } from "../app.ts";\nimport manifest from "../../deno.json";\n' +
    "export const run = () => app(manifest);\n",
  "src/app.ts": 'import { follow } from "./engine/engine.ts";\n' +
    'import { open } from "./postgres/client.ts";\nexport const app = () => follow(open);\n',
  "src/engine/engine.ts": 'import type { Change } from "../core/change.ts";\n' +
    "export const follow = (change: Change) => change;\n",
  "src/postgres/client.ts": 'import postgres from "postgres";\nexport const open = postgres;\n',
  "src/core/change.ts": "/** Not a use of Deno.env or process.env. */\nexport type Change = 1;\n",
};

const planted: readonly { readonly name: string; files: SourceFiles; readonly says: RegExp }[] = [
  {
    name: "core that imports a layer",
    files: { "src/core/change.ts": 'import { open } from "../postgres/client.ts";\nopen;\n' },
    says: /core\/change\.ts: core may not import postgres/,
  },
  {
    name: "core that imports a built-in module",
    files: { "src/core/change.ts": 'import { join } from "node:path";\njoin;\n' },
    says: /core imports nothing, not even node:path/,
  },
  {
    name: "an engine that imports an adapter, over several lines",
    files: {
      "src/engine/engine.ts": 'import {\n  open,\n} from "../postgres/client.ts";\nopen;\n',
    },
    says: /engine may not import postgres/,
  },
  {
    name: "an adapter that imports the engine by a type",
    files: {
      "src/postgres/client.ts":
        'export const open = (): import("../engine/engine.ts").Follow => 1;\n',
    },
    says: /postgres may not import engine/,
  },
  {
    name: "an adapter that imports another dynamically",
    files: {
      "src/engine/engine.ts": 'export { s as follow } from "../core/change.ts"; 1;\n',
      "src/app.ts": 'import "./sqlite/sink.ts";\nimport "./engine/engine.ts";\n',
      "src/sqlite/sink.ts": 'await import("../postgres/client.ts");\n',
    },
    says: /sqlite may not import postgres/,
  },
  {
    name: "an adapter that re-exports from config",
    files: {
      "src/config/load.ts": "export const load = 1;\n",
      "src/postgres/client.ts":
        'export const open = 1;\nexport { load } from "../config/load.ts";\n',
    },
    says: /postgres may not import config/,
  },
  {
    name: "something that imports app",
    files: {
      "src/engine/engine.ts": 'import { app } from "../app.ts";\nexport { app as follow };\n',
    },
    says: /engine may not import app/,
  },
  {
    name: "a command that names a backend",
    files: { "src/cli/run.ts": 'import { open } from "../postgres/client.ts";\nopen;\n' },
    says: /cli may not import postgres/,
  },
  {
    name: "process outside main, as a global",
    files: { "src/cli/run.ts": 'import "../app.ts";\nexport const run = process.argv;\n' },
    says: /cli\/run\.ts: touches process/,
  },
  {
    name: "process outside main, as a module",
    files: { "src/cli/run.ts": 'import "../app.ts";\nimport { env } from "node:process";\nenv;\n' },
    says: /imports node:process outside main/,
  },
  {
    name: "consola outside observe",
    files: { "src/cli/run.ts": 'import "../app.ts";\nimport { consola } from "consola";\n' },
    says: /imports consola outside observe/,
  },
  {
    name: "the Postgres client outside its adapter",
    files: { "src/engine/engine.ts": 'import postgres from "postgres";\npostgres;\n' },
    says: /imports postgres outside postgres/,
  },
  {
    name: "the OpenSearch client outside its adapter",
    files: { "src/app.ts": 'import { Client } from "@opensearch-project/opensearch";\nClient;\n' },
    says: /outside opensearch/,
  },
  {
    name: "a runtime's own interface",
    files: { "src/app.ts": "export const app = `${Deno.pid}`;\n" },
    says: /uses Deno\.\* or Bun\.\*/,
  },
  {
    name: "Bun's own modules",
    files: { "src/app.ts": 'import { Database } from "bun:sqlite";\nDatabase;\n' },
    says: /imports bun:sqlite/,
  },
  {
    name: "an import by a computed name",
    files: { "src/app.ts": "export const app = (name: string) => import(name);\n" },
    says: /imports by a computed name/,
  },
  {
    name: "an import of a file that isn't there",
    files: { "src/app.ts": 'import "./engine/motor.ts";\n' },
    says: /imports \.\/engine\/motor\.ts, which isn't there/,
  },
  {
    name: "a file that nothing imports",
    files: { "src/core/lonely.ts": "export const lonely = 1;\n" },
    says: /core\/lonely\.ts: isn't reached/,
  },
  {
    name: "two files that import only each other",
    files: {
      "src/core/one.ts": 'import "./two.ts";\n',
      "src/core/two.ts": 'import "./one.ts";\n',
    },
    says: /core\/one\.ts: isn't reached/,
  },
  {
    name: "a file of 301 lines",
    files: { "src/core/change.ts": "export type Change = 1;\n".repeat(301) },
    says: /has 301 lines, more than 300/,
  },
  {
    name: "an engine of 151 lines",
    files: { "src/engine/engine.ts": 'import "../core/change.ts";\n'.repeat(151) },
    says: /has 151 lines, more than 150/,
  },
  {
    name: "a name that says nothing",
    files: { "src/core/utils.ts": "export const a = 1;\n" },
    says: /has a name that says nothing/,
  },
  {
    name: "a barrel",
    files: {
      "src/core/all.ts": '/** All. */\nexport * from "./change.ts";\nexport { a } from "./b.ts";\n',
    },
    says: /is a barrel/,
  },
  {
    name: "a folder the design doesn't know",
    files: { "src/shared/clock.ts": "export const clock = 1;\n" },
    says: /is in no known folder/,
  },
];

describe("the checker", () => {
  test("finds nothing wrong with a house in order", () => {
    assert.deepEqual(sourceViolations(house), []);
  });
  for (const { name, files, says } of planted) {
    test(`finds ${name}`, () => {
      assert.match(sourceViolations({ ...house, ...files }).join("\n"), says);
    });
  }
  test("finds a stray entry beside allowed, hidden and ignored ones", () => {
    const entries = ["src", "README.md", ".ci", "dist", "a.db", "notes.txt", "package.json"];
    assert.deepEqual(strayEntries(entries, "/dist/\n*.db\n"), ["notes.txt", "package.json"]);
  });
});

function readSources(): SourceFiles {
  const entries = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith(".ts"));
  return Object.fromEntries(files.map((entry) => {
    const path = join(entry.parentPath, entry.name);
    return [relative(root, path), readFileSync(path, "utf8")];
  }));
}
