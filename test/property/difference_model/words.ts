/** What happened, in words: for printed histories. */
import { formatSnapshot, type Snapshot } from "../../../src/postgres/changelog/snapshot.ts";
import type { Server } from "./server.ts";

export function tellSnapshot(snapshot: Snapshot): string {
  return formatSnapshot(snapshot);
}

export function tellStep(from: Server, i: number, to: Server): string {
  const own = to.transactions[i];
  const words = (own?.shape.steps[from.transactions[i]?.step ?? 0] ?? []).map((action) => {
    switch (action) {
      case "xid":
        return `writes as xid ${own?.xid}`;
      case "sub":
        return `writes in a savepoint (xid ${own?.sub})`;
      case "sub-gone":
        return "rolls back to before its savepoint";
      case "logged":
        return "commits in the WAL";
      case "commit":
        return "commits";
      case "gone":
        return "rolls back";
      case "prepare":
        return "is prepared";
    }
  });
  return `T${i + 1} ${words.join(", ")}`;
}
