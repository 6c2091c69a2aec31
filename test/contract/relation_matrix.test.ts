/** Kind × depth × operation, at each level: what documents are when a change is acknowledged. */
import { type Cell, cells } from "./relation_matrix_cells.ts";
import {
  CHANGELOG,
  LAG,
  openSearch,
  OUTBOX,
  sqlite,
  STAMPS,
  STAMPS_AND_SWEEPS,
  SWEEPS,
} from "./relation_matrix_levels.ts";
import { runMatrix } from "./relation_matrix_run.ts";

runMatrix(CHANGELOG, cells(), 18, sqlite, "sqlite");
runMatrix(STAMPS, cells(), 18, sqlite, "sqlite");
runMatrix(OUTBOX, cells(), 18, sqlite, "sqlite");
runMatrix(LAG, atDepths(0, 1, 3), 18, sqlite, "sqlite");
runMatrix(STAMPS_AND_SWEEPS, atDepths(0, 1), 18, sqlite, "sqlite");
runMatrix(SWEEPS, atDepths(0, 2), 18, sqlite, "sqlite");
runMatrix(CHANGELOG, atDepths(0, 1, 4), 15, sqlite, "sqlite");
runMatrix(STAMPS, atDepths(0, 2, 3), 15, sqlite, "sqlite");
// What moved, and what an outbox says is gone, is looked for in the sink.
runMatrix(STAMPS, atDepths(0, 2, 4).filter(({ asks }) => asks), 18, openSearch, "opensearch");
runMatrix(OUTBOX, atDepths(0, 3).filter(isGone), 18, openSearch, "opensearch");

function atDepths(...depths: readonly Cell["depth"][]): readonly Cell[] {
  return cells(({ depth }) => depths.includes(depth));
}

function isGone({ lost }: Cell): boolean {
  return lost.length > 0;
}
