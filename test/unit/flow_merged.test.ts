import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import { merged } from "../../src/flow/merged.ts";

const never = new AbortController().signal;

async function* counting(name: string, to: number): AsyncGenerator<string> {
  for (let i = 1; i <= to; i++) {
    await Promise.resolve();
    yield `${name}${i}`;
  }
}

/** Waits for the signal, as a source that has nothing does. */
async function* silent(signal: AbortSignal, ended: () => void): AsyncGenerator<string> {
  try {
    await new Promise((_, reject) => {
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    yield "never";
  } finally {
    ended();
  }
}

test("everything arrives, each source in its own order, however many more than are taken ahead", async () => {
  const seen: string[] = [];
  const sources = [() => counting("a", 1000), () => counting("b", 700)];
  for await (const item of merged(sources, never)) seen.push(item);
  equal(seen.length, 1700);
  for (const [name, count] of [["a", 1000], ["b", 700]] as const) {
    const own = seen.filter((item) => item.startsWith(name));
    deepEqual(own, Array.from({ length: count }, (_, i) => `${name}${i + 1}`));
  }
});

test("a failure ends the other sources before it is thrown", async () => {
  let ended = false;
  const failing = async function* (): AsyncGenerator<string> {
    yield "first";
    throw new Error("broken");
  };
  const sources = [() => failing(), (signal: AbortSignal) => silent(signal, () => ended = true)];
  await rejects(async () => {
    for await (const _ of merged(sources, never)) { /* until it fails */ }
  }, /broken/);
  ok(ended);
});

test("leaving the loop ends every source", async () => {
  let ended = false;
  const sources = [
    () => counting("a", 10_000),
    (signal: AbortSignal) => silent(signal, () => ended = true),
  ];
  for await (const _ of merged(sources, never)) break;
  ok(ended);
});

test("an aborted signal ends it with its reason", async () => {
  const stop = new AbortController();
  const reason = new Error("enough");
  const run = (async () => {
    const source = (signal: AbortSignal) => silent(signal, () => {});
    for await (const _ of merged([source], stop.signal)) { /* nothing comes */ }
  })();
  stop.abort(reason);
  await rejects(run, (error) => error === reason);
});

test("a source that ends leaves the others running", async () => {
  const seen: string[] = [];
  const none = async function* (): AsyncGenerator<string> {};
  for await (const item of merged([() => none(), () => counting("a", 3)], never)) seen.push(item);
  deepEqual(seen, ["a1", "a2", "a3"]);
});
