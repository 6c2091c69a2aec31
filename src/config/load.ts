import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import * as v from "valibot";
import type { IndexDescription } from "../core/description.ts";
import type { Json } from "../core/json.ts";
import type { Problem } from "../core/problem.ts";
import type { Config, SinkConfig, SourceConfig } from "./config.ts";
import { type ConfigPath, formatPath, parsePath } from "./config_path.ts";
import { issueProblems } from "./issues.ts";
import { keysOf } from "./json_value.ts";
import { type Jsonc, readJsonc } from "./jsonc.ts";
import { nearest } from "../core/nearest.ts";
import {
  createResolver,
  type Environment,
  fileState,
  type ReadText,
  type Resolver,
} from "./resolver.ts";
import { defaultSinks, resolveSinks } from "./resolve_sinks.ts";
import { resolveSource } from "./resolve_source.ts";
import { configSchema, type ConfigSection } from "./schema.ts";
import { sink, type SinkSection } from "./sinks.ts";
import { source } from "./source.ts";
import { structureProblems } from "./structure.ts";

export interface LoadedConfig {
  /** Present when no problem is an error. */
  readonly config?: Config;
  /** Everything found wrong, in one go, in the order of the file. */
  readonly problems: readonly Problem[];
  /** Adds file and line to a problem that others found, by its path. */
  locate(problem: Problem): Problem;
}

/**
 * Reads the config and the index files it names, and resolves its secrets. Never throws: what is
 * wrong is in `problems`. Paths inside the config are relative to the config file.
 */
export async function loadConfig(
  path: string,
  env: Environment,
  read: ReadText = (path) => readFile(path, "utf8"),
): Promise<LoadedConfig> {
  const { main, value, files, problems: unread } = await readFiles(path, read);
  const locate = (problem: Problem) => located(problem, main, files);
  if (value === undefined) return { problems: unread, locate: (problem) => problem };

  const structure = structureProblems(configSchema, value);
  const lists = structure.filter(({ code }) => code === "INVALID_VALUE").map(({ path }) => path);
  const parsed = v.safeParse(configSchema, value);
  const issues = issueProblems(parsed.issues ?? []).filter(({ path }) =>
    !lists.some((list) => path === list || path.startsWith(`${list}.`)) &&
    // An index file that couldn't be read leaves its index out.
    !(path === "indexes" && unread.length > 0)
  );
  const found = [
    ...structure,
    ...issues,
    ...sinkNameProblems(value, Object.keys(defaultSinks(env))),
  ];
  const resolver = createResolver(dirname(path), env, read);
  const ends = await resolveEnds(value, env, resolver);
  const config = parsed.success ? assemble(parsed.output, ends) : undefined;

  const problems = [...unread, ...[...found, ...resolver.problems].map(locate)];
  problems.sort((a, b) =>
    Number(a.file !== undefined) - Number(b.file !== undefined) || (a.line ?? 0) - (b.line ?? 0)
  );
  const failed = config === undefined || problems.some(({ severity }) => severity === "error");
  return { ...(failed ? {} : { config }), problems, locate };
}

interface Ends {
  readonly source: SourceConfig | undefined;
  readonly sinks: readonly SinkConfig[];
}

/**
 * Where rows come from and where documents go, as far as those sections can be read: a mistake in
 * another section must not hide a missing variable.
 */
async function resolveEnds(value: Json, env: Environment, resolver: Resolver): Promise<Ends> {
  const raw = keysOf(value);
  const { url, tls } = keysOf(raw["source"]);
  const sourceRead = v.safeParse(source, raw["source"] ?? {});
  // Read on their own, so that a mistake beside them hides nothing.
  const read = sourceRead.success ? sourceRead : v.safeParse(source, {
    ...(url === undefined ? {} : { url }),
    ...(tls === undefined ? {} : { tls }),
  });
  const sections: Record<string, SinkSection> = {};
  for (const [name, section] of Object.entries(keysOf(raw["sinks"]))) {
    const sinkRead = v.safeParse(sink, section);
    if (sinkRead.success) sections[name] = sinkRead.output;
  }
  return {
    source: read.success ? await resolveSource(read.output, resolver) : undefined,
    sinks: raw["sinks"] === undefined
      ? await resolveSinks(defaultSinks(env), resolver)
      : await resolveSinks(sections, resolver),
  };
}

function assemble(section: ConfigSection, { source, sinks }: Ends): Config | undefined {
  if (source === undefined) return undefined;
  const { batch, queue, seed } = section.pipeline;
  return {
    source,
    sinks,
    pipeline: {
      batch: { maxChanges: batch.maxChanges, maxDelayMs: batch.maxDelay },
      queue,
      seed,
    },
    maxDocumentBytes: section.maxDocumentBytes,
    maxRefs: section.maxRefs,
    log: section.log,
    indexes: Object.entries(section.indexes).map(([name, index]): IndexDescription => ({
      name,
      ...index,
      onRejected: index.onRejected ?? section.onRejected,
    })),
  };
}

interface ReadFiles {
  readonly main: Jsonc;
  /** The config with each index file's content in place of its path; undefined: unreadable. */
  readonly value: Json | undefined;
  /** What was read for an index, by the index's name. */
  readonly files: ReadonlyMap<string, { readonly file: string; readonly jsonc: Jsonc }>;
  /** Located already. */
  readonly problems: readonly Problem[];
}

async function readFiles(path: string, read: ReadText): Promise<ReadFiles> {
  const files = new Map<string, { file: string; jsonc: Jsonc }>();
  let text: string;
  try {
    text = await read(path);
  } catch (error) {
    const problem: Problem = {
      severity: "error",
      code: "FILE_UNREADABLE",
      path: "",
      message: `Cannot read ${path}: ${fileState(error)}`,
      hint: "Write a config there, or name another file with --config.",
    };
    return { main: readJsonc("{}"), value: undefined, files, problems: [problem] };
  }
  const main = readJsonc(text);
  const problems = [...main.problems];
  const indexes: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(keysOf(keysOf(main.value)["indexes"]))) {
    if (typeof value !== "string") {
      indexes[name] = value;
      continue;
    }
    const at: ConfigPath = ["indexes", name];
    const file = isAbsolute(value) ? value : join(dirname(path), value);
    try {
      const jsonc = readJsonc(await read(file));
      files.set(name, { file, jsonc });
      for (const problem of jsonc.problems) {
        const inner = [...at, ...parsePath(problem.path)];
        problems.push({ ...problem, path: formatPath(inner), file });
      }
      if (jsonc.value !== undefined) indexes[name] = jsonc.value;
    } catch (error) {
      problems.push({
        severity: "error",
        code: "FILE_UNREADABLE",
        path: formatPath(at),
        line: main.lineOf(at),
        message: `Cannot read ${value}: ${fileState(error)}`,
        hint: `Paths are relative to the config file; looked at ${file}.`,
      });
    }
  }
  const value = files.size > 0 || problems.length > main.problems.length
    ? { ...keysOf(main.value), indexes } as Json
    : main.value;
  return { main, value, files, problems };
}

function located(
  problem: Problem,
  main: Jsonc,
  files: ReadFiles["files"],
): Problem {
  const path = parsePath(problem.path);
  const [section, name, ...inner] = path;
  const own = section === "indexes" && typeof name === "string" ? files.get(name) : undefined;
  if (own === undefined) return { ...problem, line: main.lineOf(path) };
  return { ...problem, line: own.jsonc.lineOf(inner), file: own.file };
}

/** Indexes that name a sink which isn't there. */
function sinkNameProblems(value: Json, byDefault: readonly string[]): readonly Problem[] {
  const { sinks, indexes } = keysOf(value);
  const known = sinks === undefined ? byDefault : Object.keys(keysOf(sinks));
  return Object.entries(keysOf(indexes)).flatMap(([index, section]) => {
    const names = keysOf(section)["sinks"];
    if (!Array.isArray(names)) return [];
    return names.flatMap((name: unknown, i): readonly Problem[] => {
      if (typeof name !== "string" || known.includes(name)) return [];
      const near = nearest(name, known);
      return [{
        severity: "error",
        code: "UNKNOWN_SINK",
        path: formatPath(["indexes", index, "sinks", i]),
        message: `There is no sink "${name}"`,
        hint: near === undefined ? `The sinks are ${known.join(", ")}.` : `Did you mean "${near}"?`,
      }];
    });
  });
}
