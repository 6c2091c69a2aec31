import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Epoch } from "../../src/core/source.ts";

/** The epoch in the checkpoint of the SQLite sink in a folder. */
export function epochOf(folder: string): Epoch {
  using file = new DatabaseSync(join(folder, "driftless.db"), { readOnly: true });
  const row = file.prepare("SELECT value FROM _checkpoint").get();
  return JSON.parse(String(row?.["value"])).epoch as Epoch;
}
