import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { check } from "../../src/cli/check.ts";
import type { Problem } from "../../src/core/problem.ts";
import type { TableLevel } from "../../src/core/source.ts";

/** What `driftless check` printed. */
export interface Checked {
  readonly code: number;
  readonly text: string;
  readonly problems: readonly Problem[];
  readonly tables: ReadonlyMap<string, TableLevel>;
  readonly indexes: readonly string[];
  readonly sql: readonly string[];
  readonly sweeps: unknown;
}

/** Runs `driftless check` in this process over a config in that folder, for people and for programs. */
export async function runCheck(
  folder: string,
  config: Readonly<Record<string, unknown>>,
): Promise<Checked> {
  const path = join(folder, "driftless.jsonc");
  await writeFile(path, JSON.stringify(config));
  const never = new AbortController().signal;
  const run = async (format: "text" | "json") => {
    let out = "";
    const code = await check.run({ config: path, format }, {
      env: {},
      stdout: { write: (text) => Promise.resolve(void (out += text)) },
      stderr: () => {},
      stdoutIsTty: false,
      isTty: false,
      columns: () => 80,
      stop: never,
      signal: never,
    });
    return { code, out };
  };
  const { code, out: text } = await run("text");
  const { problems, tables, indexes, sql, sweeps } = JSON.parse((await run("json")).out);
  return {
    code,
    text,
    problems,
    tables: new Map(tables.map((each: TableLevel) => [each.table, each])),
    indexes: indexes.map(({ index }: { readonly index: string }) => index),
    sql,
    sweeps,
  };
}
