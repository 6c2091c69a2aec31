import { ok } from "node:assert/strict";
import { join } from "node:path";
import { follow } from "../../src/app.ts";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { SyncEvent } from "../../src/core/events.ts";

/** What a test's config says of the source and the indexes, as in the file. */
export interface AppSetup {
  /** The source, as a reader. */
  readonly url: string;
  /** More of the source; replaces the short times too. */
  readonly source?: Readonly<Record<string, unknown>>;
  readonly tables?: Readonly<Record<string, unknown>>;
  readonly indexes: Readonly<Record<string, unknown>>;
}

/** A config with a sqlite sink called db in that folder, and short times. */
export async function appConfig(
  folder: string,
  { url, source = {}, tables = {}, indexes }: AppSetup,
): Promise<Config> {
  const text = JSON.stringify({
    source: {
      url,
      poll: { minInterval: "5ms", maxInterval: "20ms", margin: "50ms" },
      tables,
      ...source,
    },
    sinks: { db: { type: "sqlite", path: join(folder, "driftless.db") } },
    indexes,
  });
  const { config, problems } = await loadConfig("test.jsonc", {}, () => Promise.resolve(text));
  ok(config, JSON.stringify(problems));
  return config;
}

/** `driftless run` in this process: drained and ended on disposal, which throws what it threw. */
export interface AppRun extends AsyncDisposable {
  /** Resolves when it has caught up; throws what it threw before. */
  readonly caughtUp: Promise<void>;
  /** How it ended, also by itself. */
  readonly ended: Promise<void>;
  /** So far. */
  readonly events: readonly SyncEvent[];
}

export function runApp(config: Config): AppRun {
  const stop = new AbortController();
  const caughtUp = Promise.withResolvers<void>();
  const events: SyncEvent[] = [];
  const running = following(config, { once: false, rebase: false }, stop.signal, (event) => {
    events.push(event);
    if (event.type === "caughtUp") caughtUp.resolve();
  });
  running.catch(caughtUp.reject);
  return {
    caughtUp: caughtUp.promise,
    ended: running,
    events,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error("stopped"));
      await running;
    },
  };
}

/** `driftless sync`. */
export function syncApp(
  config: Config,
  { rebase = false }: { readonly rebase?: boolean } = {},
): Promise<void> {
  return following(config, { once: true, rebase }, new AbortController().signal, () => {});
}

function following(
  config: Config,
  { once, rebase }: { readonly once: boolean; readonly rebase: boolean },
  stop: AbortSignal,
  observe: (event: SyncEvent) => void,
): Promise<void> {
  const stdout = { write: () => Promise.reject(new Error("Cannot write: there is no stdout")) };
  const how = { once, skipBackfill: false, rebase, retryLimitMs: 60_000 };
  return follow(
    config,
    { stdout, strict: false, observe },
    how,
    stop,
    new AbortController().signal,
  );
}
