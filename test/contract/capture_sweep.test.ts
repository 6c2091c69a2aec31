import { exerciseCapture } from "./exercise_capture.ts";

exerciseCapture({
  name: "sweeps alone",
  level: "L3",
  claims: {
    lateCommits: true,
    oddStamps: true,
    // By comparing keys, which is the engine's.
    deletes: false,
    truncates: false,
    bypass: true,
    waits: false,
    exact: false,
  },
  install: () => Promise.resolve(),
  options: () => ({
    source: { capture: "sweep", sweeps: { dutyCycle: 1 } },
    settings: { aloneMs: 1 },
  }),
});
