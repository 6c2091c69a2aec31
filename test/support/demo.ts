/**
 * deno run -A test/support/demo.ts [--sink sqlite|opensearch]
 *
 * Shows the compiled binary follow a shop in a private Postgres: seeds, searches, makes changes and
 * measures when each has arrived. Exits with 0 when all have. Leaves nothing behind, whatever ends it.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { programPath } from "./binary.ts";
import { demoConfig, type DemoSink } from "./demo/config.ts";
import { connectCluster, deleteIndexes, openSearchView } from "./demo/opensearch_view.ts";
import { page } from "./demo/page.ts";
import { openShop } from "./demo/shop.ts";
import type { SinkView } from "./demo/sink_view.ts";
import { sqliteView } from "./demo/sqlite_view.ts";
import { type Place, showTool } from "./demo/tour.ts";
import { cleanUp, removeAtExit } from "./janitor.ts";
import { startOpenSearch } from "./opensearch.ts";
import { withCleanUp } from "./run_command.ts";
import { requireOpenSearchTools } from "./toolchain.ts";

/** What is to be undone beside the janitor's servers and folders, last first. */
const undo: (() => PromiseLike<unknown>)[] = [];

await withCleanUp(main, async () => {
  for (const step of undo.reverse()) {
    try {
      await step();
    } catch (error) {
      process.stderr.write(`${String(error)}\n`);
    }
  }
  await cleanUp();
});

async function main(): Promise<number> {
  const sink = sinkOf(process.argv.slice(2));
  programPath();
  const began = performance.now();
  const target = sink === "sqlite" ? sqliteTarget() : await openSearchTarget();
  page.line("Starting Postgres and loading the shop …");
  const shop = await openShop();
  undo.push(() => shop[Symbol.asyncDispose]());
  const counts = Object.entries(shop.counts).map(([what, rows]) =>
    `${rows.toLocaleString("en")} ${what}`
  );
  page.good(`Postgres ${shop.version}: ${counts.join(", ")}`);
  page.good("role search_reader: may SELECT and nothing else");
  page.good(`documents go to ${target.label}`);

  const folder = temporaryFolder();
  writeFileSync(
    join(folder, "driftless.jsonc"),
    `${JSON.stringify(demoConfig(target.sink), null, 2)}\n`,
  );
  const code = await showTool({
    cwd: folder,
    env: { DATABASE_URL: shop.readerUrl, ...target.env },
    openView: target.openView,
    ...(target.note === undefined ? {} : { note: target.note }),
    sql: shop.sql,
    undo,
  });
  page.line();
  page.line(`${code === 0 ? "Done" : "Failed"} after ${seconds(performance.now() - began)}.`);
  return code;
}

interface Target extends Pick<Place, "env" | "openView" | "note"> {
  readonly sink: DemoSink;
  readonly label: string;
}

function sqliteTarget(): Target {
  const path = join(temporaryFolder(), "search.db");
  return {
    sink: { type: "sqlite", path },
    label: "one sqlite file with full-text search",
    env: {},
    openView: () => sqliteView(path),
  };
}

/** OPENSEARCH_URL's cluster, or one of our own. */
async function openSearchTarget(): Promise<Target> {
  const given = process.env["OPENSEARCH_URL"] ?? "";
  if (given === "") {
    await requireOpenSearchTools();
    page.line("Starting OpenSearch …");
  }
  const url = given === "" ? (await startOpenSearch()).url : given;
  const cluster = connectCluster(url);
  const { version } = await cluster.request("GET", "/") as { version: { number: string } };
  const indexPrefix = `driftless-demo-${randomBytes(4).toString("hex")}-`;
  if (given !== "") undo.push(() => deleteIndexes(cluster, indexPrefix));
  return {
    sink: { type: "opensearch", indexPrefix },
    label: `OpenSearch ${version.number}${given === "" ? "" : " at OPENSEARCH_URL"}, ` +
      `indexes ${indexPrefix}*`,
    env: { OPENSEARCH_URL: url },
    note:
      "A GET shows a document once it is durable; searches at the next refresh, by default each " +
      "second.",
    openView: (): SinkView => openSearchView(cluster, indexPrefix),
  };
}

function sinkOf(args: readonly string[]): "sqlite" | "opensearch" {
  const [flag, value] = args.length === 0 ? ["--sink", "sqlite"] : args;
  if (flag === "--sink" && args.length <= 2 && (value === "sqlite" || value === "opensearch")) {
    return value;
  }
  throw new Error(
    `Cannot run the demo with "${args.join(" ")}": write --sink sqlite or --sink opensearch ` +
      "(make demo SINK=opensearch)",
  );
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "driftless-demo-"));
  removeAtExit(folder);
  return folder;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
