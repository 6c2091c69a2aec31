/** The rules of the house as pure functions over file texts, so that each can be seen to fail. */

/** Source texts by path: "src/core/change.ts". */
export type SourceFiles = Readonly<Record<string, string>>;

type Layer =
  | "main"
  | "app"
  | "cli"
  | "config"
  | "core"
  | "flow"
  | "engine"
  | "verify"
  | "observe"
  | "postgres"
  | "opensearch"
  | "sqlite"
  | "stdout";

const backends: readonly Layer[] = ["postgres", "opensearch", "sqlite", "stdout", "verify"];

/** Which layers a layer may import, besides itself. */
const allowed: Readonly<Record<Layer, readonly Layer[]>> = {
  main: ["cli", "core", "observe"],
  cli: ["app", "config", "core", "flow", "observe"],
  app: ["config", "core", "flow", "engine", "observe", ...backends],
  config: ["core"],
  core: [],
  flow: ["core"],
  engine: ["core", "flow"],
  verify: ["core", "flow"],
  observe: ["core"],
  postgres: ["core", "flow"],
  opensearch: ["core", "flow"],
  sqlite: ["core", "flow"],
  stdout: ["core", "flow"],
};

/** The one layer that may import a package. */
const homes: readonly { readonly specifier: RegExp; readonly layer: Layer }[] = [
  { specifier: /^(node:)?process$/, layer: "main" },
  { specifier: /^consola(\/|$)/, layer: "observe" },
  { specifier: /^postgres(\/|$)/, layer: "postgres" },
  { specifier: /^@opensearch-project\//, layer: "opensearch" },
];

const maxLines = 300;
const maxEngineLines = 150;
const emptyNames = /\/(utils?|types|helpers?|common|misc|mod)\.ts$/;
const topLevel: readonly string[] = [
  "deno.json",
  "deno.lock",
  "src",
  "test",
  "docs",
  "config.example.jsonc",
  "Makefile",
  "README.md",
  "LICENSE",
  "CHANGELOG.md",
];

/** Every breach of the rules for src/, each as "path: what"; none: []. */
export function sourceViolations(files: SourceFiles): string[] {
  const found: string[] = [];
  for (const [path, text] of Object.entries(files)) {
    const tell = (what: string) => found.push(`${path}: ${what}`);
    const layer = layerOf(path);
    if (layer === undefined) {
      tell("is in no known folder");
      continue;
    }
    checkShape(path, text, tell);
    for (const specifier of importsOf(text)) checkImport(path, layer, specifier, files, tell);
    const code = withoutStrings(text);
    if (/\b(Deno|Bun)\s*[.[]/.test(code)) tell("uses Deno.* or Bun.*");
    if (layer !== "main" && /(?<![.\w])process\s*[.[]/.test(code)) tell("touches process");
    if (/\bimport\s*\(\s*[^\s"']/.test(code)) tell("imports by a computed name");
  }
  return [...found, ...unreachable(files)];
}

/** Entries of the repository's root that have no business there. */
export function strayEntries(entries: readonly string[], gitignore: string): string[] {
  const patterns = gitignore.split("\n").map((line) => line.trim().replace(/^\/|\/$/g, ""))
    .filter((line) => line !== "" && !line.startsWith("#"));
  const ignored = (entry: string) =>
    patterns.some((pattern) =>
      pattern.startsWith("*") ? entry.endsWith(pattern.slice(1)) : entry === pattern
    );
  return entries.filter((entry) =>
    !entry.startsWith(".") && !topLevel.includes(entry) && !ignored(entry)
  );
}

function layerOf(path: string): Layer | undefined {
  const part = /^src\/(?:([a-z]+)\/|(main|app)\.ts$)/.exec(path);
  const name = part?.[1] ?? part?.[2];
  return Object.keys(allowed).find((layer): layer is Layer => layer === name);
}

function checkShape(path: string, text: string, tell: (what: string) => void): void {
  const lines = text.trimEnd().split("\n").length;
  const cap = path === "src/engine/engine.ts" ? maxEngineLines : maxLines;
  if (lines > cap) tell(`has ${lines} lines, more than ${cap}`);
  if (emptyNames.test(path)) tell("has a name that says nothing");
  const statements = withoutComments(text).split(";").map((part) => part.trim())
    .filter((part) => part !== "");
  if (
    statements.length > 0 && statements.every((part) => /^export\b[^=(]*\bfrom\s*["']/.test(part))
  ) tell("is a barrel");
}

function checkImport(
  path: string,
  layer: Layer,
  specifier: string,
  files: SourceFiles,
  tell: (what: string) => void,
): void {
  if (specifier.startsWith(".")) {
    const target = resolvePath(path, specifier);
    // The manifest holds the version.
    if (target === "deno.json") return;
    const to = layerOf(target);
    if (files[target] === undefined) tell(`imports ${specifier}, which isn't there`);
    else if (to === undefined || (to !== layer && !allowed[layer].includes(to))) {
      tell(`${layer} may not import ${to ?? target}`);
    }
    return;
  }
  if (layer === "core") tell(`core imports nothing, not even ${specifier}`);
  const home = homes.find((rule) => rule.specifier.test(specifier));
  if (home !== undefined && home.layer !== layer) {
    tell(`imports ${specifier} outside ${home.layer}`);
  }
  if (specifier.startsWith("bun:")) tell(`imports ${specifier}`);
}

/** Specifiers of imports, re-exports and dynamic imports, types included. */
function importsOf(text: string): string[] {
  const code = withoutComments(text);
  const pattern =
    /\b(?:import|export)\b[^;'"`()=]*?\bfrom\s*["']([^"']+)["']|\bimport\s*["']([^"']+)["']|\bimport\s*\(\s*["']([^"']+)["']/g;
  return [...code.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
}

/** Files that main.ts doesn't reach by imports: nobody runs them. */
function unreachable(files: SourceFiles): string[] {
  if (files["src/main.ts"] === undefined) return ["src/main.ts: isn't there"];
  const seen = new Set<string>();
  const open = ["src/main.ts"];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    const text = files[path];
    if (text === undefined || seen.has(path)) continue;
    seen.add(path);
    for (const specifier of importsOf(text)) {
      if (specifier.startsWith(".")) open.push(resolvePath(path, specifier));
    }
  }
  return Object.keys(files).filter((path) => !seen.has(path))
    .map((path) => `${path}: isn't reached from src/main.ts`);
}

function resolvePath(from: string, specifier: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

// Templates count as code: what they interpolate is.
const commentOrString = /\/\/.*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g;

function withoutComments(text: string): string {
  return text.replace(commentOrString, (part) => part.startsWith("/") ? " " : part);
}

function withoutStrings(text: string): string {
  return text.replace(commentOrString, (part) => part.startsWith("/") ? " " : '""');
}
