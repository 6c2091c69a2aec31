import { createConsola } from "consola/core";
import type { Observer, SyncEvent } from "../core/events.ts";
import { advance, figuresText, type Progress, renderProgress, seedFigures } from "./progress.ts";
import { type Fields, type Level, type LogRecord, recordOf } from "./record.ts";
import { createScreen } from "./screen.ts";
import { visible } from "./visible.ts";

export interface ObserverOptions {
  readonly level: Level;
  /** "auto": pretty on a terminal, JSON lines otherwise. */
  readonly format: "auto" | "pretty" | "json";
  /** Whether what is written reaches a terminal: bars are drawn there alone. */
  readonly isTty: boolean;
  /** stderr. */
  write(text: string): void;
  /** The terminal's width; default 80. */
  columns?(): number;
  /** Default: on a terminal. */
  readonly color?: boolean;
  /** Milliseconds since 1970. */
  now?(): number;
}

/**
 * Makes log lines and progress bars of events. Sets no timer: a bar moves when an event comes.
 * After `close` no bar is drawn; lines still are.
 */
export function createObserver(options: ObserverOptions): { observe: Observer; close(): void } {
  const { format, isTty } = options;
  const now = options.now ?? Date.now;
  const pretty = format === "pretty" || format === "auto" && isTty;
  const screen = createScreen((text) => options.write(text));
  const paint = painter(options.color ?? isTty);
  const log = createConsola({
    level: LEVELS[options.level],
    throttle: 0,
    reporters: [{
      log: ({ args }) => {
        const record = args[1] as LogRecord;
        if (!pretty) screen.print(jsonLine(record, now()));
        else for (const line of prettyLines(record, now(), paint)) screen.print(line);
      },
    }],
  });
  const say = (record: LogRecord) => log[record.level](record.event, record);
  const bars = pretty && isTty && LEVELS[options.level] >= LEVELS.info;
  let progress: Progress = new Map();
  let drawnAt = -Infinity;
  let closed = false;
  const saidAt = new Map<string, number>();
  const quiet = createQuiet();
  /** The tables whose claims stand in the lines above, as long as those are tables'. */
  const claimsAbove = new Map<string, string>();

  function draw(): void {
    if (!bars || closed) return;
    drawnAt = now();
    const lines = renderProgress(progress, drawnAt, (options.columns?.() ?? 80) - 1);
    screen.show(lines.map((line) => visible(line)));
  }

  function observe(event: SyncEvent): void {
    progress = advance(progress, event, now());
    if (event.type === "seedProgress") {
      if (bars && !closed) {
        if (now() - drawnAt >= REDRAW_MS) draw();
        return;
      }
      const last = saidAt.get(event.index);
      if (last !== undefined && now() - last < PROGRESS_LINE_MS) return;
      saidAt.set(event.index, now());
      return say(withFigures(recordOf(event), progress, now()));
    }
    if (event.type === "seedStarted") saidAt.set(event.index, now());
    if (event.type === "seedFinished") draw();
    say(shortened(event, quiet(event, recordOf(event))));
    if (event.type === "seedStarted") draw();
  }

  /** For a person a claim is said once, not for each of twenty tables. */
  function shortened(event: SyncEvent, record: LogRecord): LogRecord {
    if (event.type !== "table" || record.level === "debug") {
      claimsAbove.clear();
      return record;
    }
    const { claim, table } = event.level;
    const above = claimsAbove.get(claim);
    if (above === undefined) claimsAbove.set(claim, table);
    return pretty && above !== undefined
      ? { ...record, message: record.message.replace(claim, () => `as ${above}`) }
      : record;
  }

  return {
    observe,
    close(): void {
      closed = true;
      screen.show([]);
    },
  };
}

/**
 * What depends on the events before: a retry's level doesn't fall until its edge is back (delays
 * are random, so they may shrink), "caught up" is news once, until something was away or new, and a
 * run that is opened again says of its connections and tables what has changed.
 */
function createQuiet(): (event: SyncEvent, record: LogRecord) => LogRecord {
  const loudest = new Map<string, Level>();
  /** What was said last, by what it is about. */
  const known = new Map<string, string>();
  let caughtUp = false;
  return (event, record) => {
    if (event.type === "connected" || event.type === "table") {
      const about = event.type === "table" ? event.level.table : `to ${event.to}`;
      if (known.get(about) === record.message) return { ...record, level: "debug" };
      known.set(about, record.message);
    }
    if (event.type === "retry" && event.planned !== true) {
      const before = loudest.get(event.edge) ?? "info";
      const level = LEVELS[before] < LEVELS[record.level] ? before : record.level;
      loudest.set(event.edge, level);
      caughtUp = false;
      return { ...record, level };
    }
    if (event.type === "recovered") loudest.delete(event.edge);
    if (event.type === "caughtUp") {
      const level = caughtUp ? "debug" : record.level;
      caughtUp = true;
      return { ...record, level };
    }
    if (NEWS.has(event.type)) caughtUp = false;
    return record;
  };
}

const NEWS: ReadonlySet<SyncEvent["type"]> = new Set(["anchored", "seedStarted"]);

function withFigures(record: LogRecord, progress: Progress, now: number): LogRecord {
  const seed = progress.get(String(record.fields["index"]));
  if (seed === undefined) return record;
  const { rate, secondsLeft } = seedFigures(seed, now);
  return {
    ...record,
    message: `Seeding ${seed.index}: ${figuresText(seed, now).trimStart()}`,
    fields: {
      ...record.fields,
      estimate: seed.estimate,
      rate: rate === undefined ? undefined : Math.round(rate),
      secondsLeft: secondsLeft === undefined ? undefined : Math.round(secondsLeft),
    },
  };
}

function jsonLine(record: LogRecord, now: number): string {
  const { level, event, message, hint, fields } = record;
  const line: Fields = { time: new Date(now).toISOString(), level, event, message, hint };
  return JSON.stringify({ ...line, ...fields });
}

function prettyLines(record: LogRecord, now: number, paint: Paint): readonly string[] {
  const clock = paint("dim", new Date(now).toTimeString().slice(0, 8));
  const { level, message, hint } = record;
  const mark = level === "info"
    ? record.good ? paint("green", "✓") : "•"
    : level === "debug"
    ? paint("dim", "·")
    : level === "warn"
    ? paint("yellow", "!")
    : paint("red", "✗");
  const text = visible(message);
  const lines = [`${clock} ${mark} ${level === "debug" ? paint("dim", text) : text}`];
  for (const line of hint?.split("\n") ?? []) lines.push(`           ${visible(line)}`);
  return lines;
}

type Paint = (color: keyof typeof COLORS, text: string) => string;

function painter(on: boolean): Paint {
  return (color, text) => on ? `\x1b[${COLORS[color]}m${text}\x1b[0m` : text;
}

const COLORS = { dim: 2, red: 31, green: 32, yellow: 33 } as const;
/** consola's numbers. */
const LEVELS: Readonly<Record<Level, number>> = { error: 0, warn: 1, info: 3, debug: 4 };
const REDRAW_MS = 100;
const PROGRESS_LINE_MS = 5000;
