import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A test's body in a temporary folder of its own, removed afterwards. */
export function inFolder(body: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = await mkdtemp(join(tmpdir(), "driftless-test-"));
    try {
      await body(folder);
    } finally {
      await rm(folder, { recursive: true });
    }
  };
}
