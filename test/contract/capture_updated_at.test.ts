import { exerciseCapture } from "./exercise_capture.ts";

exerciseCapture({
  name: "updated_at with open-transaction tracking",
  level: "L2",
  claims: {
    lateCommits: true,
    oddStamps: false,
    deletes: false,
    truncates: false,
    bypass: true,
    waits: false,
    exact: true,
  },
  install: () => Promise.resolve(),
  options: () => ({ source: { capture: "updated_at", sweeps: false } }),
});
