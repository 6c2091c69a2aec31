import { startOpenSearch } from "./opensearch.ts";
import { startPostgres } from "./postgres.ts";
import { openSearchHome, postgresHome } from "./toolchain.ts";

export const serverNames = ["pg18", "pg15", "opensearch"] as const;
export type ServerName = typeof serverNames[number];

export interface StartedServer {
  /** "postgres 18.4 on port 40123 (1.2 s)" */
  readonly line: string;
  /** "postgres 18.4" */
  readonly label: string;
  /** What the tests find it by. */
  readonly env: Readonly<Record<string, string>>;
}

/** Starts the servers side by side. `heap` is OpenSearch's. Stopped by `cleanUp` of janitor.ts. */
export function startServers(
  names: readonly ServerName[],
  options: { heap?: string; started: (server: StartedServer) => void },
): Promise<readonly StartedServer[]> {
  return Promise.all(names.map(async (name) => {
    const server = await startServer(name, options.heap);
    options.started(server);
    return server;
  }));
}

async function startServer(name: ServerName, heap?: string): Promise<StartedServer> {
  // Installing is once per machine and isn't counted as starting.
  if (name === "opensearch") {
    await openSearchHome();
    const began = performance.now();
    const server = await startOpenSearch(heap === undefined ? {} : { heap });
    return started(`opensearch ${server.version}`, server.port, began, {
      DRIFTLESS_TEST_OPENSEARCH: server.url,
    });
  }
  const major = name === "pg18" ? 18 : 15;
  await postgresHome(major);
  const began = performance.now();
  const server = await startPostgres({ major });
  return started(`postgres ${server.version}`, server.port, began, {
    [`DRIFTLESS_TEST_PG${major}`]: server.url,
  });
}

function started(
  label: string,
  port: number,
  began: number,
  env: Record<string, string>,
): StartedServer {
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  return { label, env, line: `${label} on port ${port} (${seconds} s)` };
}
