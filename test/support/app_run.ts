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
  readonly tables?: Readonly<Record<string, unknown>>;
  readonly indexes: Readonly<Record<string, unknown>>;
}

/** A config with a sqlite sink called db in that folder, and short times. */
export async function appConfig(
  folder: string,
  { url, tables = {}, indexes }: AppSetup,
): Promise<Config> {
  const text = JSON.stringify({
    source: { url, poll: { minInterval: "5ms", maxInterval: "20ms", margin: "50ms" }, tables },
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
}

export function runApp(config: Config): AppRun {
  const stop = new AbortController();
  const caughtUp = Promise.withResolvers<void>();
  const running = following(config, false, stop.signal, ({ type }) => {
    if (type === "caughtUp") caughtUp.resolve();
  });
  running.catch(caughtUp.reject);
  return {
    caughtUp: caughtUp.promise,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error("stopped"));
      await running;
    },
  };
}

/** `driftless sync`. */
export function syncApp(config: Config): Promise<void> {
  return following(config, true, new AbortController().signal, () => {});
}

function following(
  config: Config,
  once: boolean,
  stop: AbortSignal,
  observe: (event: SyncEvent) => void,
): Promise<void> {
  const stdout = { write: () => Promise.reject(new Error("Cannot write: there is no stdout")) };
  const how = { once, skipBackfill: false, rebase: false, retryLimitMs: 15_000 };
  return follow(
    config,
    { stdout, strict: false, observe },
    how,
    stop,
    new AbortController().signal,
  );
}
