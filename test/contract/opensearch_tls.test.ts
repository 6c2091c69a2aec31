import assert from "node:assert/strict";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { FatalError } from "../../src/core/errors.ts";
import { openSearchSink } from "../../src/opensearch/sink.ts";
import { CERTIFICATE, KEY } from "../support/certificate.ts";
import { sinkOptions } from "./opensearch_observer.ts";
import { never } from "./sink_subject.ts";

/** Runs `body` on a TLS server that greets like OpenSearch. */
async function onTls(body: (url: string) => Promise<void>): Promise<void> {
  const server = createServer({ key: KEY, cert: CERTIFICATE }, (_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(`{"version":{"number":"2.19.1","distribution":"opensearch"}}`);
  });
  // A client that hangs up over the certificate is what is tested.
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await body(`https://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

describe("OpenSearch: TLS", () => {
  test("accepts the server whose CA is given", () =>
    onTls(async (url) => {
      await using sink = openSearchSink({ ...sinkOptions(url, ""), ca: CERTIFICATE });
      assert.equal(await sink.connect(never), `opensearch 2.19.1 at ${url}`);
    }));

  test("ends the run, with what to give, at one whose CA isn't known", () =>
    onTls(async (url) => {
      await using sink = openSearchSink(sinkOptions(url, ""));
      await assert.rejects(sink.connect(never), (error) => {
        assert.ok(error instanceof FatalError, String(error));
        assert.match(error.hint, /tls\.ca/);
        return true;
      });
    }));
});
