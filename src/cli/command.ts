import type { ArgsDef, CommandDef } from "citty";
import type { LineWriter } from "../app/sinks.ts";

/** The process's edge, as commands see it: `main.ts` alone touches the process. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: LineWriter;
  /** Logs and messages; never blocks. */
  stderr(text: string): void;
  readonly stdoutIsTty: boolean;
  /** Whether stderr reaches a terminal, and its width. */
  readonly isTty: boolean;
  columns(): number;
  /** The first signal: drain and end. */
  readonly stop: AbortSignal;
  /** The end, at once: the deadline of draining, or a failure nobody caught. */
  readonly signal: AbortSignal;
}

/** Values by the definition's names, as citty parsed them. */
export type Flags = Readonly<Record<string, unknown>>;

export interface Command {
  readonly definition: CommandDef<ArgsDef>;
  readonly args: ArgsDef;
  /** A line or more that can be typed as they stand. */
  readonly examples: readonly string[];
  /** Resolves with the exit code (design 6.2). FatalError and RetryableError are said by the caller. */
  run(flags: Flags, context: Context): Promise<number>;
}

export function textFlag(flags: Flags, name: string): string | undefined {
  const value = flags[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

export function booleanFlag(flags: Flags, name: string): boolean {
  return flags[name] === true;
}

/** Exit codes of design 6.2. */
export const EXIT: {
  readonly done: 0;
  readonly failed: 1;
  readonly usage: 2;
} = { done: 0, failed: 1, usage: 2 };
