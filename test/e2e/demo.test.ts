import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runBinary } from "../support/binary.ts";
import { forget, stopAtExit } from "../support/janitor.ts";
import { openSearchServer } from "../support/opensearch.ts";
import { createDatabase } from "../support/postgres.ts";
import { shopFile } from "../support/demo/shop.ts";

const script = fileURLToPath(new URL("../support/demo.ts", import.meta.url));
const example = fileURLToPath(new URL("../../config.example.jsonc", import.meta.url));
const titles = [
  "A price change",
  "A new order",
  "An order set to void",
  "A soft-deleted product",
  "A renamed category",
];

test("the demo on sqlite shows every change arrive, and ends with 0", async () => {
  const { code, output } = await runDemo("sqlite", {});
  assert.equal(code, 0, output);
  assertAllArrived(output);
});

test("the demo on OPENSEARCH_URL shows every change arrive, and removes its indexes", async () => {
  const { url } = await openSearchServer();
  const { code, output } = await runDemo("opensearch", { OPENSEARCH_URL: url });
  assert.equal(code, 0, output);
  assertAllArrived(output);
  const prefix = /driftless-demo-[0-9a-f]+-/.exec(output)?.[0];
  assert.ok(prefix !== undefined, output);
  const left = await (await fetch(`${url}/_cat/indices/${prefix}*?h=index`)).text();
  assert.equal(left, "");
});

test("the demo names a sink that it doesn't know", async () => {
  const { code, output } = await runDemo("elastic", {});
  assert.equal(code, 1);
  assert.match(output, /^Cannot run the demo with "--sink elastic": write --sink sqlite or/);
});

test("the example config fits the demo's shop, without a warning", async () => {
  await using shop = await createDatabase(await readFile(shopFile, "utf8"));
  const { code, stdout } = await runBinary(["check"], {
    config: example,
    env: { DATABASE_URL: shop.readerUrl },
  });
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^ok: no problems$/m);
});

function assertAllArrived(output: string): void {
  assert.equal(output.match(/^ {2}✓ arrived: /gm)?.length, titles.length, output);
  for (const title of titles) {
    // Documents, and milliseconds until durable and until searchable.
    assert.match(output, new RegExp(`^  ${title} +\\d+ +\\d+ +\\d+$`, "m"));
  }
  assert.match(output, /^ {2}✓ exit code 0/m);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(output, /\x1b/, "no terminal, no colours");
}

async function runDemo(
  sink: string,
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number; readonly output: string }> {
  const { OPENSEARCH_URL: _, ...inherited } = process.env;
  const child = spawn(process.execPath, ["run", "-A", "--no-check", script, "--sink", sink], {
    env: { ...inherited, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { pid } = child;
  if (pid !== undefined) stopAtExit(pid);
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => output += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => output += text);
  return await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => {
      if (pid !== undefined) forget(pid);
      resolve({ code: status ?? 1, output });
    });
  });
}
