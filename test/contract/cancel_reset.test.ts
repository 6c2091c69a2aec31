import { deepEqual } from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { openDatabase } from "../../src/postgres/client.ts";
import { createDatabase } from "../support/postgres.ts";
import { eventually } from "../support/eventually.ts";

test("a request to cancel that is reset on its way ends nothing but itself", async () => {
  await using db = await createDatabase();
  const to = new URL(db.readerUrl);
  let cut = 0;
  let connections = 0;
  // The first connection goes through; those after it are the requests to cancel its statement.
  const proxy = createServer((client: Socket) => {
    client.on("error", () => {});
    if (++connections > 1) {
      cut++;
      client.once("data", () => client.resetAndDestroy());
      return;
    }
    const server = connect(Number(to.port), to.hostname);
    server.on("error", () => {});
    client.pipe(server);
    server.pipe(client);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const url = new URL(db.readerUrl);
  url.port = String((proxy.address() as AddressInfo).port);
  const abort = new AbortController();
  {
    await using database = openDatabase({
      url: url.href,
      pooler: "none",
      rowSecurity: "refuse",
      maxConnections: 1,
      applicationName: "driftless/cancel",
      statementTimeoutMs: 60_000,
    });
    const answer = database.query({ text: "SELECT pg_sleep(1), 'over'" }, abort.signal);
    const ours = "application_name = 'driftless/cancel' AND state = 'active'";
    await eventually(
      "the statement",
      async () =>
        (await db.sql.unsafe(`SELECT FROM pg_stat_activity WHERE ${ours} AND query LIKE '%sleep%'`))
          .length === 1,
    );
    abort.abort(new Error("told to stop"));
    await eventually("a request to cancel", () => Promise.resolve(cut > 0));
    // None arrives: it runs to its end.
    deepEqual((await answer)[0]?.[1], "over");
  }
  proxy.close();
});
