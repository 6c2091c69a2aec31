import { allowWal } from "../support/wal.ts";
import { exerciseCapture } from "./exercise_capture.ts";

exerciseCapture({
  name: "the WAL",
  level: "L5",
  claims: {
    lateCommits: true,
    oddStamps: true,
    deletes: true,
    truncates: true,
    bypass: true,
    waits: false,
    exact: true,
  },
  install: allowWal,
  options: () => ({ source: { capture: "wal", sweeps: false } }),
});
