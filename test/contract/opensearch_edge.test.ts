import assert from "node:assert/strict";
import { createServer } from "node:net";
import { describe, test } from "node:test";
import { FatalError, RetryableError } from "../../src/core/errors.ts";
import type { Searchable, Sink } from "../../src/core/ports.ts";
import { openClient } from "../../src/opensearch/client.ts";
import { openSearchSink } from "../../src/opensearch/sink.ts";
import { freePort } from "../support/free_port.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import { observe, removeAll, sinkOptions } from "./opensearch_observer.ts";
import { type Proxy, startProxy } from "./opensearch_proxy.ts";
import { sampleBody, sampleDocument, samplePlan, V } from "./sink_samples.ts";
import { never } from "./sink_subject.ts";

interface Edge {
  readonly proxy: Proxy;
  readonly sink: Sink & Searchable;
  readonly url: string;
  readonly physical: string;
}

/** Runs `body` on a sink behind a proxy, with an index ensured. */
function behindProxy(body: (edge: Edge) => Promise<void>): () => Promise<void> {
  return async () => {
    const { url } = await openSearchServer();
    const prefix = uniquePrefix();
    await using proxy = await startProxy(url);
    await using sink = openSearchSink(sinkOptions(proxy.url, prefix));
    try {
      await sink.ensure(samplePlan("things"), "s1", never);
      await body({ proxy, sink, url, physical: `${prefix}things_0123abcd_1` });
    } finally {
      await removeAll(url, prefix);
    }
  };
}

const ONE = [sampleDocument("things", "1", V, "one")];

async function failureOf(promise: Promise<unknown>): Promise<RetryableError | FatalError> {
  const error = await promise.then(() => "no failure", (error: unknown) => error);
  assert.ok(error instanceof RetryableError || error instanceof FatalError, String(error));
  return error;
}

describe("OpenSearch: a request that fails", () => {
  for (const status of [408, 429, 500, 502, 503, 504]) {
    test(
      `with ${status} may be sent again as a whole`,
      behindProxy(async ({ proxy, sink, url, physical }) => {
        proxy.intervene("/_bulk", { kind: "answer", status });
        const error = await failureOf(sink.write(ONE, "live", never));
        assert.ok(error instanceof RetryableError);
        assert.equal(error.code, `HTTP_${status}`);
        assert.equal(proxy.seen.filter((name) => name.includes("_bulk")).length, 1, "sent once");
        assert.deepEqual(await sink.write(ONE, "live", never), []);
        assert.equal((await observe(url, physical, "1"))?.body, sampleBody("one"));
      }),
    );
  }

  for (
    const [status, code] of [[400, "BAD_REQUEST"], [401, "UNAUTHORIZED"], [
      403,
      "FORBIDDEN",
    ]] as const
  ) {
    test(
      `with ${status} ends the run with a hint and quotes no row`,
      behindProxy(async ({ proxy, sink }) => {
        const body = `{"error":{"type":"some_exception","reason":"quotes one"},"status":${status}}`;
        proxy.intervene("/_bulk", { kind: "answer", status, body });
        const error = await failureOf(sink.write(ONE, "live", never));
        assert.ok(error instanceof FatalError);
        assert.equal(error.code, code);
        assert.match(error.message, /some_exception/);
        assert.ok(!error.message.includes("quotes"), error.message);
        assert.notEqual(error.hint, "");
      }),
    );
  }

  for (const when of ["before", "after"] as const) {
    test(
      `by a reset ${when} the server did it may be sent again, which changes nothing`,
      behindProxy(async ({ proxy, sink, url, physical }) => {
        // Twice: Deno sends a request again by itself when a socket that it reused is reset.
        proxy.intervene("/_bulk", { kind: "reset", when }, 2);
        const error = await failureOf(sink.write(ONE, "live", never));
        assert.ok(error instanceof RetryableError, error.message);
        const known = when === "after" ? sampleBody("one") : undefined;
        assert.equal((await observe(url, physical, "1"))?.body, known);
        proxy.intervene("/_bulk", { kind: "reset", when }, 0);
        assert.deepEqual(await sink.write(ONE, "live", never), []);
        assert.equal((await observe(url, physical, "1"))?.body, sampleBody("one"));
      }),
    );
  }

  const lies: Readonly<Record<string, { body: string; type?: string }>> = {
    "a page of a proxy": { body: "<html>ok</html>", type: "text/html" },
    "an empty object": { body: "{}" },
    "no items": { body: `{"errors":false,"items":[]}` },
    "half an object": { body: `{"errors":false,"it` },
  };
  for (const [what, { body, type }] of Object.entries(lies)) {
    test(
      `by a 200 with ${what} isn't taken for success`,
      behindProxy(async ({ proxy, sink }) => {
        proxy.intervene("/_bulk", {
          kind: "answer",
          status: 200,
          body,
          ...(type === undefined ? {} : { type }),
        });
        const error = await failureOf(sink.write(ONE, "live", never));
        assert.ok(error instanceof RetryableError);
        assert.equal(error.code, "BAD_RESPONSE");
      }),
    );
  }

  test("by an answer that stalls half-way ends at the deadline", async () => {
    const { url } = await openSearchServer();
    await using proxy = await startProxy(url);
    await using client = openClient(sinkOptions(proxy.url, uniquePrefix()));
    proxy.intervene("/", { kind: "stall" });
    const purpose = { what: "look" };
    const request = { method: "GET", path: "/", purpose, timeoutMs: 300 } as const;
    const error = await failureOf(client.send(request, never));
    assert.ok(error instanceof RetryableError);
    assert.equal(error.code, "ETIMEDOUT");
  });

  // Where the library's `console.log` is reached, which under Bun it is.
  test("by a reset after its answer began writes nothing to stdout", async () => {
    const head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked";
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => {
        socket.write(`${head}\r\n\r\n5\r\n{"a":\r\n`, () => socket.resetAndDestroy());
      });
    });
    const port = await freePort();
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    await using client = openClient(sinkOptions(`http://127.0.0.1:${port}`, uniquePrefix()));
    const lines: unknown[] = [];
    const { log } = console;
    Object.assign(console, { log: (...line: unknown[]) => lines.push(line) });
    try {
      const request = { method: "GET", path: "/", purpose: { what: "look" } } as const;
      for (let i = 0; i < 20; i++) {
        assert.ok(await failureOf(client.send(request, never)) instanceof RetryableError);
      }
    } finally {
      Object.assign(console, { log });
      await new Promise((resolve) => server.close(resolve));
    }
    assert.deepEqual(lines, []);
  });

  test("by a server that never answers ends at the deadline, or at once with the signal", async () => {
    const sockets = new Set<{ destroy(): void }>();
    const silent = createServer((socket) => {
      sockets.add(socket);
    });
    const port = await freePort();
    await new Promise<void>((resolve) => silent.listen(port, "127.0.0.1", resolve));
    const client = openClient(sinkOptions(`http://127.0.0.1:${port}`, uniquePrefix()));
    try {
      const purpose = { what: "look" };
      const request = { method: "GET", path: "/", purpose, timeoutMs: 200 } as const;
      const error = await failureOf(client.send(request, never));
      assert.equal(error.code, "ETIMEDOUT");
      const controller = new AbortController();
      const reason = new Error("told to stop");
      const pending = client.send({ ...request, timeoutMs: 60_000 }, controller.signal);
      controller.abort(reason);
      await assert.rejects(pending, (error) => error === reason);
    } finally {
      await client[Symbol.asyncDispose]();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => silent.close(resolve));
    }
  });

  test("because nothing listens may be sent again", async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    await using sink = openSearchSink(sinkOptions(url, uniquePrefix()));
    const error = await failureOf(sink.connect(never));
    assert.ok(error instanceof RetryableError, error.message);
    assert.equal(error.code, "ECONNREFUSED");
  });
});

describe("OpenSearch: connecting", () => {
  test("says what it reached and as whom, by each kind of auth, and no secret", async () => {
    const { url, version } = await openSearchServer();
    await using proxy = await startProxy(url);
    const secret = "s3cret";
    const kinds = [
      [undefined, undefined, ""],
      [
        { kind: "basic", username: "ann", password: secret },
        `Basic ${btoa(`ann:${secret}`)}`,
        " as ann",
      ],
      [{ kind: "apiKey", value: secret }, `ApiKey ${secret}`, " by API key"],
      [{ kind: "bearer", token: secret }, `Bearer ${secret}`, " by bearer token"],
    ] as const;
    for (const [auth, header, who] of kinds) {
      const options = sinkOptions(proxy.url, uniquePrefix());
      await using sink = openSearchSink(auth === undefined ? options : { ...options, auth });
      assert.equal(await sink.connect(never), `opensearch ${version} at ${proxy.url}${who}`);
      assert.equal(proxy.authorization(), header);
    }
  });

  test("goes on with another node when one is away", async () => {
    const { url } = await openSearchServer();
    const away = `http://127.0.0.1:${await freePort()}`;
    const options = { ...sinkOptions(url, uniquePrefix()), nodes: [away, url] };
    await using sink = openSearchSink(options);
    const outcomes = [];
    for (let i = 0; i < 4; i++) {
      outcomes.push(await sink.connect(never).then(() => "reached", () => "failed"));
    }
    assert.deepEqual(outcomes.filter((outcome) => outcome === "failed").length, 1);
    assert.equal(outcomes.at(-1), "reached");
  });

  test("refuses a node that isn't a URL it can use, without printing it", () => {
    for (const nodes of [[], ["search:9200"], ["ftp://search"], ["user:secret@search"]]) {
      assert.throws(() => openSearchSink({ ...sinkOptions("", ""), nodes }), (error) => {
        assert.ok(error instanceof FatalError && error.code === "NODE_INVALID");
        return !error.message.includes("secret");
      });
    }
  });

  test("refuses what isn't OpenSearch, or a version it doesn't speak", async () => {
    const { url } = await openSearchServer();
    await using proxy = await startProxy(url);
    await using sink = openSearchSink(sinkOptions(proxy.url, uniquePrefix()));
    const answers = {
      NOT_OPENSEARCH: `{"hello":"world"}`,
      VERSION_UNSUPPORTED: `{"version":{"number":"1.3.20","distribution":"opensearch"}}`,
    };
    for (const [code, body] of Object.entries(answers)) {
      proxy.intervene("GET /", { kind: "answer", status: 200, body });
      const error = await failureOf(sink.connect(never));
      assert.ok(error instanceof FatalError);
      assert.equal(error.code, code);
    }
    proxy.intervene("GET /", { kind: "answer", status: 401 });
    assert.equal((await failureOf(sink.connect(never))).code, "UNAUTHORIZED");
  });
});
