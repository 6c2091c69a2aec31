import { connect, createServer, type Socket } from "node:net";

/** A TCP proxy that misbehaves on request. Bytes pass unaltered, and in order. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** The target's URL with the proxy's address in it. */
  readonly url: string;
  /** Behaves again: what was held back goes on; a new connection passes. */
  pass(): void;
  /** Connections are reset, new ones too: a server that is down. */
  cut(): void;
  /** Connections stay open and nothing comes through: a network that drops everything. */
  blackhole(): void;
  /** Each piece of an answer comes this much later. */
  delay(ms: number): void;
  /**
   * Keeps back requests whose bytes have `marker` in them, or the answers to such, until `pass`.
   * `reached` resolves when there is one: of an answer, the target has done its work by then.
   */
  hold(marker: string, what: "request" | "answer"): { readonly reached: Promise<void> };
}

type Mode =
  | { readonly kind: "pass" | "cut" | "blackhole" }
  | { readonly kind: "delay"; readonly ms: number }
  | {
    readonly kind: "hold";
    readonly marker: string;
    readonly what: "request" | "answer";
    reached(): void;
  };

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** The last request's bytes, as far as they are needed to find a marker. */
  request: string;
  /** What waits for `pass`, either way. */
  readonly heldRequest: Uint8Array[];
  readonly heldAnswer: Uint8Array[];
}

/** Stands in front of the server that `target` names. */
export async function startProxy(target: string): Promise<Proxy> {
  const to = new URL(target);
  const pairs = new Set<Pair>();
  let mode: Mode = { kind: "pass" };

  const listener = createServer((client) => {
    client.on("error", () => {});
    if (mode.kind === "cut") return void client.resetAndDestroy();
    const server = connect({ host: to.hostname, port: Number(to.port) });
    const pair: Pair = { client, server, request: "", heldRequest: [], heldAnswer: [] };
    pairs.add(pair);
    server.on("error", () => client.destroy());
    const closed = () => {
      pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    client.on("close", closed);
    server.on("close", closed);
    client.on("data", (bytes: Uint8Array) => {
      if (mode.kind === "blackhole") return;
      if (mode.kind === "hold") {
        pair.request = (pair.request + new TextDecoder("latin1").decode(bytes)).slice(-65_536);
      }
      const holds = mode.kind === "hold" && mode.what === "request" &&
        pair.request.includes(mode.marker);
      if (!holds && pair.heldRequest.length === 0) return void server.write(bytes);
      pair.heldRequest.push(bytes);
      if (mode.kind === "hold") mode.reached();
    });
    server.on("data", (bytes: Uint8Array) => answer(pair, bytes));
  });

  function answer(pair: Pair, bytes: Uint8Array): void {
    if (mode.kind === "blackhole") return;
    if (mode.kind === "delay") {
      setTimeout(() => pair.client.write(bytes), mode.ms);
    } else if (pair.heldAnswer.length > 0) {
      pair.heldAnswer.push(bytes);
    } else if (
      mode.kind === "hold" && mode.what === "answer" && pair.request.includes(mode.marker)
    ) {
      pair.heldAnswer.push(bytes);
      mode.reached();
    } else {
      pair.request = "";
      pair.client.write(bytes);
    }
  }

  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("Cannot listen: no port");
  const url = new URL(target);
  url.host = `127.0.0.1:${address.port}`;

  const drop = () => {
    for (const { client, server } of pairs) {
      client.resetAndDestroy();
      server.destroy();
    }
    pairs.clear();
  };
  return {
    port: address.port,
    url: url.href.replace(/\/$/, to.pathname === "/" && !target.endsWith("/") ? "" : "/"),
    pass() {
      // A connection whose bytes were swallowed can't be mended: its client has to open another.
      if (mode.kind === "blackhole") drop();
      mode = { kind: "pass" };
      for (const pair of pairs) {
        for (const bytes of pair.heldRequest.splice(0)) pair.server.write(bytes);
        for (const bytes of pair.heldAnswer.splice(0)) pair.client.write(bytes);
        pair.request = "";
      }
    },
    cut() {
      mode = { kind: "cut" };
      drop();
    },
    blackhole() {
      mode = { kind: "blackhole" };
    },
    delay(ms) {
      mode = { kind: "delay", ms };
    },
    hold(marker, what) {
      const { promise, resolve } = Promise.withResolvers<void>();
      mode = { kind: "hold", marker, what, reached: resolve };
      return { reached: promise };
    },
    async [Symbol.asyncDispose]() {
      mode = { kind: "cut" };
      drop();
      await new Promise<void>((resolve) => listener.close(() => resolve()));
    },
  };
}
