import { isAbsolute, join } from "node:path";
import type { Problem } from "../core/problem.ts";
import { type ConfigPath, formatPath } from "./config_path.ts";
import type { SecretRef } from "./secret_ref.ts";

/** Reads a file's text; fails with a node error code. */
export type ReadText = (path: string) => Promise<string>;

/** The variables that references may name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Turns references into values and collects what goes wrong. */
export interface Resolver {
  readonly problems: readonly Problem[];
  add(path: ConfigPath, problem: Omit<Problem, "path">): void;
  /** The referenced text; undefined, with a problem added, when it isn't there. */
  text(ref: SecretRef, path: ConfigPath): Promise<string | undefined>;
  /** As `text`, for what should not stand in a config file: a literal is a warning. */
  secret(ref: SecretRef, path: ConfigPath): Promise<string | undefined>;
  /** As `text`, for certificates and keys. */
  pem(ref: SecretRef, path: ConfigPath): Promise<string | undefined>;
  /** A path as the process must open it: paths in a config are relative to the config file. */
  fileOf(path: string): string;
}

export function createResolver(
  directory: string,
  env: Environment,
  read: ReadText,
): Resolver {
  const problems: Problem[] = [];
  const add: Resolver["add"] = (path, problem) => {
    problems.push({ ...problem, path: formatPath(path) });
  };
  const fileOf = (path: string) => isAbsolute(path) ? path : join(directory, path);

  async function text(ref: SecretRef, path: ConfigPath): Promise<string | undefined> {
    if (ref.kind === "literal") return ref.value;
    if (ref.kind === "env") {
      const value = env[ref.name];
      if (value !== undefined && value !== "") return value;
      const state = value === undefined ? "not set" : "empty";
      add(path, {
        severity: "error",
        code: "ENV_MISSING",
        message: `The environment variable ${ref.name} is ${state}`,
        hint: `Set ${ref.name}, or name another variable here.`,
      });
      return undefined;
    }
    try {
      // Editors end files with a newline; a secret has none.
      const value = (await read(fileOf(ref.path))).replace(/[\r\n]+$/, "");
      if (value !== "") return value;
      add(path, {
        severity: "error",
        code: "FILE_UNREADABLE",
        message: `The file ${ref.path} is empty`,
        hint: "Put the value into it, and nothing else.",
      });
    } catch (error) {
      add(path, {
        severity: "error",
        code: "FILE_UNREADABLE",
        message: `Cannot read ${ref.path}: ${fileState(error)}`,
        hint: `Paths are relative to the config file; looked at ${fileOf(ref.path)}.`,
      });
    }
    return undefined;
  }

  async function secret(ref: SecretRef, path: ConfigPath): Promise<string | undefined> {
    if (ref.kind === "literal") add(path, LITERAL_SECRET);
    return await text(ref, path);
  }

  async function pem(ref: SecretRef, path: ConfigPath): Promise<string | undefined> {
    const value = await text(ref, path);
    if (value === undefined || value.includes("-----BEGIN ")) return value;
    add(path, {
      severity: "error",
      code: "INVALID_VALUE",
      message: "This is not a certificate or key in PEM form",
      hint: ref.kind === "literal"
        ? 'To name a file write {"file": "path"}.'
        : "It holds a line like -----BEGIN CERTIFICATE-----.",
    });
    return undefined;
  }

  return { problems, add, text, secret, pem, fileOf };
}

/** What is said of a secret that stands in the config file itself. */
export const LITERAL_SECRET: Omit<Problem, "path"> = {
  severity: "warning",
  code: "LITERAL_SECRET",
  message: "A secret stands in the config file itself",
  hint: 'Use {"env": "NAME"} or {"file": "/run/secrets/name"}.',
};

/** Why a file can't be read, by its error's code. */
export function fileState(error: unknown): string {
  const code = typeof error === "object" && error !== null && "code" in error
    ? String(error.code)
    : "";
  return STATES[code] ?? (code === "" ? "it can't be read" : `it can't be read (${code})`);
}

const STATES: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "no permission",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of the path isn't a folder",
};
