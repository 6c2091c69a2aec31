import { randomBytes } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { freePort } from "./free_port.ts";
import { removeAtExit } from "./janitor.ts";
import { logTail, type ServerProcess, startServerProcess } from "./server_process.ts";
import { openSearchHome, openSearchVersion, root } from "./toolchain.ts";

export interface TestOpenSearch {
  readonly url: string;
  readonly version: string;
}

export interface PrivateOpenSearch extends TestOpenSearch {
  readonly dataDir: string;
  readonly port: number;
  readonly log: string;
  /** Absent: SIGTERM, which closes the node. Data written before SIGKILL is there after a restart. */
  stop(signal?: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** Stops it if it runs and starts it again: same data, same port. */
  restart(): Promise<void>;
}

export interface OpenSearchOptions {
  readonly settings?: Record<string, string>;
  /** An existing one keeps its data; absent: a temporary one. */
  readonly dataDir?: string;
  readonly port?: number;
  /** Java's notation; "512m" when absent. */
  readonly heap?: string;
}

let shared: Promise<TestOpenSearch> | undefined;

/** The run's server, by environment; without one a server of this process, stopped at its exit. */
export function openSearchServer(): Promise<TestOpenSearch> {
  const url = process.env["DRIFTLESS_TEST_OPENSEARCH"];
  shared ??= url === undefined || url === ""
    ? startOpenSearch()
    : Promise.resolve({ url, version: openSearchVersion });
  return shared;
}

/** A server of the caller's own, with one node. */
export async function startOpenSearch(options: OpenSearchOptions = {}): Promise<PrivateOpenSearch> {
  const { java, classPath } = await openSearchHome();
  const folder = mkdtempSync(join(tmpdir(), "driftless-opensearch-"));
  removeAtExit(folder);
  const dataDir = options.dataDir ?? join(folder, "data");
  const log = join(folder, "server.log");
  const heap = options.heap ?? "512m";
  const port = options.port ?? await freePort();
  const url = `http://127.0.0.1:${port}`;
  const settings = {
    "transport.port": String(await freePort()),
    // A full disk of the machine that runs the tests is none of the tests' business.
    "cluster.routing.allocation.disk.threshold_enabled": "false",
    ...options.settings,
  };
  const start = async (): Promise<ServerProcess> => {
    const server = await startServerProcess({
      command: java,
      args: [
        `-Xms${heap}`,
        `-Xmx${heap}`,
        "-cp",
        classPath,
        join(root, "test/support/opensearch-server/Os.java"),
        dataDir,
        String(port),
        ...Object.entries(settings).map(([name, value]) => `${name}=${value}`),
      ],
      cwd: folder,
      log,
    });
    const deadline = performance.now() + 180_000;
    while (!await isHealthy(url)) {
      if (performance.now() > deadline) await server.stop("SIGKILL");
      if (server.ended() !== undefined) {
        throw new Error(
          `Cannot start OpenSearch: it ended (${server.ended()}). Its log:\n${logTail(log)}`,
        );
      }
      await pause(100);
    }
    return server;
  };

  let server = await start();
  return {
    url,
    version: openSearchVersion,
    dataDir,
    port,
    log,
    stop: (signal = "SIGTERM") => server.stop(signal),
    async restart() {
      await server.stop("SIGTERM");
      server = await start();
    },
  };
}

/** A prefix for a test's indexes. */
export function uniquePrefix(): string {
  return `t${randomBytes(5).toString("hex")}_`;
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(5_000);
    const hello = await fetch(`${url}/`, { signal });
    await hello.body?.cancel();
    const health = await fetch(`${url}/_cluster/health?wait_for_status=yellow&timeout=4s`, {
      signal,
    });
    await health.body?.cancel();
    return hello.ok && health.ok;
  } catch {
    return false;
  }
}
