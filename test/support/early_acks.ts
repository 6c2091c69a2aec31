import type { ChangeCapture } from "../../src/core/ports.ts";

/**
 * The control: a capture that takes what it has read for durable, as one does that saves its cursor
 * when a page was read. A crash between reading and writing loses what was in between.
 */
export function withEarlyAcks(capture: ChangeCapture): ChangeCapture {
  return {
    ...capture,
    async *live(signal) {
      for await (const delivery of capture.live(signal)) {
        delivery.ack();
        yield delivery;
      }
    },
  };
}
