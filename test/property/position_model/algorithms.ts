/** The algorithm under test. */
import { advance, anchor } from "../../../src/postgres/poll/position.ts";
import type { Algorithm } from "./poll.ts";

export const OURS: Algorithm = {
  name: "ours",
  anchor,
  advance,
  startUp: [["snapshot"], ["clock"], ["vxids"], ["xids"], ["prepared"], ["anchor"], ["seed"]],
  poll: [
    ["snapshot"],
    ["clock"],
    ["vxids"],
    ["xids"],
    ["prepared"],
    ["hot"],
    ["rescan"],
    ["ack"],
    ["store"],
  ],
  mayDefer: true,
  storesRescans: true,
  readsSx: false,
};

/** With the idle probe. */
export const OURS_PROBING: Algorithm = {
  ...OURS,
  name: "ours, with the idle probe",
  probes: "to the snapshot",
};

export const OURS_MEDIUM: Algorithm = {
  ...OURS,
  startUp: [["snapshot", "clock"], ["vxids"], ["xids"], ["prepared"], ["anchor", "seed"]],
  poll: [
    ["snapshot", "clock"],
    ["vxids"],
    ["xids"],
    ["prepared"],
    ["hot"],
    ["rescan", "ack", "store"],
  ],
};

export const OURS_COARSE: Algorithm = {
  ...OURS,
  name: "ours, fewer instants",
  startUp: [["snapshot", "clock"], ["vxids"], ["xids"], ["prepared", "anchor", "seed"]],
  poll: [
    ["snapshot", "clock"],
    ["vxids"],
    ["xids"],
    ["prepared", "hot", "rescan", "ack", "store"],
  ],
  mayDefer: false,
};
