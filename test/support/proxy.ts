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
   * Keeps back the answers to requests whose bytes have `marker` in them, from now on; requests
   * pass. `reached` resolves when the target has begun to answer one: it has done its work by then.
   */
  hold(marker: string): { readonly reached: Promise<void> };
}

type Mode =
  | { readonly kind: "pass" | "cut" | "blackhole" }
  | { readonly kind: "delay"; readonly ms: number }
  | { readonly kind: "hold"; readonly marker: string; reached(): void };

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** The last request's bytes, as far as they are needed to find a marker. */
  request: string;
  /** Answers that wait for `pass`. */
  held: Uint8Array[];
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
    const pair: Pair = { client, server, request: "", held: [] };
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
      server.write(bytes);
    });
    server.on("data", (bytes: Uint8Array) => answer(pair, bytes));
  });

  function answer(pair: Pair, bytes: Uint8Array): void {
    if (mode.kind === "blackhole") return;
    if (mode.kind === "delay") {
      setTimeout(() => pair.client.write(bytes), mode.ms);
    } else if (pair.held.length > 0) {
      pair.held.push(bytes);
    } else if (mode.kind === "hold" && pair.request.includes(mode.marker)) {
      pair.held.push(bytes);
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
        for (const bytes of pair.held.splice(0)) pair.client.write(bytes);
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
    hold(marker) {
      const { promise, resolve } = Promise.withResolvers<void>();
      mode = { kind: "hold", marker, reached: resolve };
      return { reached: promise };
    },
    async [Symbol.asyncDispose]() {
      mode = { kind: "cut" };
      drop();
      await new Promise<void>((resolve) => listener.close(() => resolve()));
    },
  };
}
