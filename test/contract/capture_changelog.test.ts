import { installChangelog } from "../support/changelog.ts";
import { exerciseCapture } from "./exercise_capture.ts";

exerciseCapture({
  name: "the changelog",
  level: "L4",
  claims: {
    lateCommits: true,
    oddStamps: true,
    deletes: true,
    truncates: true,
    bypass: false,
    waits: false,
    exact: true,
  },
  install: async (db) => void await installChangelog(db, [{ table: "item" }]),
  options: () => ({ source: { capture: "changelog", sweeps: false } }),
});
