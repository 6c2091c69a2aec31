import type { SyncEvent } from "../core/events.ts";
import { count, seconds } from "./figures.ts";

/** The seeds that run, by index, in the order they began. A value: `advance` returns another. */
export type Progress = ReadonlyMap<string, SeedProgress>;

export interface SeedProgress {
  readonly index: string;
  /** The planner's estimate of the rows in all; below 1: unknown. */
  readonly estimate: number;
  readonly rows: number;
  /** What was read when, oldest first, over the window that the rate is taken of. */
  readonly samples: readonly { readonly at: number; readonly rows: number }[];
}

/** What can be said of a seed at one moment. */
export interface SeedFigures {
  /** 0 to 1, below 1 until it is finished; absent when the total is unknown. */
  readonly fraction?: number;
  /** Rows per second of the last seconds; absent before there are any. */
  readonly rate?: number;
  readonly secondsLeft?: number;
}

/** The progress after an event at `now` (ms); the same object when the event isn't a seed's. */
export function advance(progress: Progress, event: SyncEvent, now: number): Progress {
  if (event.type === "seedStarted") {
    const { index, estimate, rows } = event;
    return new Map(progress).set(index, { index, estimate, rows, samples: [{ at: now, rows }] });
  }
  if (event.type === "seedProgress") {
    const seed = progress.get(event.index);
    if (seed === undefined) return progress;
    const samples = [...seed.samples, { at: now, rows: event.rows }];
    // The newest sample outside the window stays: the rate spans the whole of it.
    while ((samples[1]?.at ?? Infinity) <= now - WINDOW_MS) samples.shift();
    return new Map(progress).set(event.index, { ...seed, rows: event.rows, samples });
  }
  if (event.type === "seedFinished") {
    const rest = new Map(progress);
    rest.delete(event.index);
    return rest;
  }
  return progress;
}

export function seedFigures(seed: SeedProgress, now: number): SeedFigures {
  const [first] = seed.samples;
  const ms = first === undefined ? 0 : now - first.at;
  const read = seed.rows - (first?.rows ?? 0);
  const rate = ms >= 200 && read > 0 ? read * 1000 / ms : undefined;
  const known = seed.estimate >= 1;
  const left = seed.estimate - seed.rows;
  return {
    ...(known ? { fraction: Math.min(seed.rows / seed.estimate, 0.99) } : {}),
    ...(rate === undefined ? {} : { rate }),
    ...(known && rate !== undefined && left >= 0 ? { secondsLeft: left / rate } : {}),
  };
}

/** One line for each running seed, none wider than `columns`. */
export function renderProgress(progress: Progress, now: number, columns: number): string[] {
  const seeds = [...progress.values()];
  const width = Math.max(0, ...seeds.map(({ index }) => [...index].length));
  return seeds.map((seed) => {
    const name = seed.index.padEnd(width);
    const { fraction } = seedFigures(seed, now);
    const text = figuresText(seed, now);
    const room = Math.min(30, columns - width - text.length - 6);
    const bar = fraction === undefined || room < 8 ? "" : `${barText(fraction, room)}  `;
    return [...`  ${name}  ${bar}${text}`].slice(0, columns).join("");
  });
}

/** ` 42 %  126,000 of about 300,000  12,450/s  14 s left`. */
export function figuresText(seed: SeedProgress, now: number): string {
  const { fraction, rate, secondsLeft } = seedFigures(seed, now);
  const parts = [
    fraction === undefined ? "" : `${String(Math.floor(fraction * 100)).padStart(2)} %`,
    seed.estimate < 1
      ? `${count(seed.rows)} rows`
      : `${count(seed.rows)} of about ${count(seed.estimate)}`,
    rate === undefined ? "" : `${count(rate)}/s`,
    secondsLeft === undefined ? "" : `${seconds(secondsLeft)} left`,
  ];
  return parts.filter((part) => part !== "").join("  ");
}

function barText(fraction: number, width: number): string {
  const filled = Math.floor(fraction * width);
  return "█".repeat(filled) + "░".repeat(width - filled);
}

const WINDOW_MS = 10_000;
