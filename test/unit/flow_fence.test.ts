import { deepEqual, rejects } from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, test } from "node:test";
import fc from "fast-check";
import { fence } from "../../src/flow/fence.ts";

const NEVER = new AbortController().signal;

describe("the fence", () => {
  test("is passed at once when nobody is inside, or nobody any more", async () => {
    const gate = fence();
    await gate.passed(NEVER);
    const leave = gate.enter();
    leave();
    leave();
    await gate.passed(NEVER);
  });

  test("is passed when all that had entered before have left, whoever entered since", async () => {
    const steps = fc.array(fc.oneof(
      fc.record({ kind: fc.constant("enter" as const) }),
      fc.record({ kind: fc.constant("leave" as const), which: fc.nat(20) }),
      fc.record({ kind: fc.constant("pass" as const) }),
    ));
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const gate = fence();
        const inside = new Map<number, () => void>();
        const waiting = new Map<number, Set<number>>();
        const passed: number[] = [];
        const expected = () =>
          [...waiting].flatMap(([id, before]) =>
            [...before].some((each) => inside.has(each)) ? [] : id
          );
        for (const [n, step] of all.entries()) {
          if (step.kind === "enter") inside.set(n, gate.enter());
          if (step.kind === "leave") {
            const [id, leave] = [...inside][step.which % Math.max(1, inside.size)] ?? [];
            leave?.();
            if (id !== undefined) inside.delete(id);
          }
          if (step.kind === "pass") {
            waiting.set(n, new Set(inside.keys()));
            gate.passed(NEVER).then(() => passed.push(n));
          }
          await nextTurn();
          deepEqual(passed.toSorted((a, b) => a - b), expected());
        }
      }),
      { numRuns: 200 },
    );
  });

  test("stops waiting with the signal's reason", async () => {
    const gate = fence();
    const leave = gate.enter();
    const controller = new AbortController();
    const reason = new Error("enough");
    const waiting = gate.passed(controller.signal);
    controller.abort(reason);
    await rejects(waiting, (error) => error === reason);
    await rejects(gate.passed(controller.signal), (error) => error === reason);
    leave();
    await rejects(gate.passed(controller.signal), (error) => error === reason);
    await gate.passed(NEVER);
  });
});
