import { equal } from "node:assert/strict";
import { test } from "node:test";
import manifest from "../../deno.json" with { type: "json" };
import { VERSION } from "../../src/cli/version.ts";

test("the binary names the manifest's version", () => {
  equal(VERSION, manifest.version);
});
