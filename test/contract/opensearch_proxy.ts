import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Buffer } from "node:buffer";

export type Intervention =
  /** Answers in the server's place; the server never sees the request. */
  | {
    readonly kind: "answer";
    readonly status: number;
    readonly body?: string;
    readonly type?: string;
  }
  /** Cuts the connection: before the server sees the request, or after it has done it. */
  | { readonly kind: "reset"; readonly when: "before" | "after" }
  /** Gives a part of the server's answer and then nothing. */
  | { readonly kind: "stall" };

export interface Proxy extends AsyncDisposable {
  readonly url: string;
  /** Requests seen so far, as `POST /_bulk`. */
  readonly seen: readonly string[];
  /** The last request's authorization header. */
  authorization(): string | undefined;
  /** What to do with the next requests whose `POST /path` contains `text`. */
  intervene(text: string, what: Intervention, times?: number): void;
}

/** An HTTP proxy in front of a server that fails on demand. */
export async function startProxy(target: string): Promise<Proxy> {
  const seen: string[] = [];
  let authorization: string | undefined;
  let plan: { text: string; what: Intervention; times: number } | undefined;

  const server = createServer((incoming, outgoing) => {
    void handle(incoming, outgoing);
  });

  async function handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const name = `${incoming.method} ${incoming.url}`;
    seen.push(name);
    authorization = incoming.headers.authorization;
    const what = plan !== undefined && plan.times > 0 && name.includes(plan.text)
      ? plan.what
      : undefined;
    if (what !== undefined && plan !== undefined) plan.times--;
    if (what?.kind === "answer") {
      outgoing.writeHead(what.status, { "content-type": what.type ?? "application/json" });
      outgoing.end(what.body ?? "{}");
      return;
    }
    if (what?.kind === "reset" && what.when === "before") {
      incoming.socket.destroy();
      return;
    }
    const forwarded = request(
      `${target}${incoming.url}`,
      { method: incoming.method ?? "GET", headers: incoming.headers },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on("data", (part: Buffer) => parts.push(part));
        answer.on("end", () => {
          const body = Buffer.concat(parts);
          if (what?.kind === "reset") return incoming.socket.destroy();
          outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
          if (what?.kind === "stall") return outgoing.write(body.subarray(0, body.length / 2));
          outgoing.end(body);
        });
      },
    );
    forwarded.end(Buffer.concat(chunks));
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    authorization: () => authorization,
    intervene: (text, what, times = 1) => {
      plan = { text, what, times };
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
