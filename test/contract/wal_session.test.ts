import assert from "node:assert/strict";
import { chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { FatalError, RetryableError } from "../../src/core/errors.ts";
import { openDatabase } from "../../src/postgres/client.ts";
import { formatLsn, parseLsn, type WalFrame } from "../../src/postgres/wal/frames.ts";
import {
  openWalSession,
  type WalSession,
  type WalSessionOptions,
} from "../../src/postgres/wal/session.ts";
import { CERTIFICATE, KEY } from "../support/certificate.ts";
import { eventually } from "../support/eventually.ts";
import {
  createDatabase,
  type PrivatePostgres,
  serverUser,
  startPostgres,
  type TestDatabase,
  type TestPostgres,
} from "../support/postgres.ts";

const PUBLICATION = `it's "odd"`;
const DDL = `
  create table items (id int primary key, body text);
  create publication "it's ""odd""" for table items;`;
const never = new AbortController().signal;

for (const major of [18, 15] as const) {
  describe(`a replication session on Postgres ${major}`, () => {
    test("gives the frames of small transactions in order, each once", async () => {
      await using scene = await openScene(major);
      await using session = await scene.open();
      const { sql } = scene.db;
      for (let id = 1; id <= 200; id++) await sql`insert into items values (${id})`;
      const frames = await takeUntil(session, (seen) => commitsOf(seen).length === 200);
      assert.deepEqual(idsOf(frames), range(1, 200));
      const ends = commitsOf(frames);
      assert.deepEqual(ends, [...ends].sort((a, b) => (a < b ? -1 : 1)));
      assert.deepEqual(idsOf(await session.take(never, 0)), []);
    });

    test("says how far the WAL was read when it is asked, whoever wrote it", async () => {
      await using scene = await openScene(major);
      await using session = await scene.open();
      await using other = await createDatabase("create table t (n int)", major);
      await other.sql`insert into t select generate_series(1, 1000)`;
      const written = await currentLsn(other);
      session.ask();
      const frames = await takeUntil(session, (seen) => {
        if (seen.at(-1)?.kind === "alive") session.ask();
        return seen.some((frame) => frame.kind === "alive" && frame.end >= written);
      });
      assert.deepEqual(idsOf(frames), []);
    });

    test("what is confirmed is told before it ends, never goes back and isn't sent again", async () => {
      await using scene = await openScene(major);
      const { sql } = scene.db;
      {
        await using session = await scene.open();
        for (const id of [1, 2, 3]) await sql`insert into items values (${id})`;
        const [first, second] = commitsOf(
          await takeUntil(session, (seen) => commitsOf(seen).length === 3),
        );
        assert.ok(first !== undefined && second !== undefined);
        session.confirm(first);
        await eventually("the first position", async () => await scene.confirmed() === first);
        // The second waits for the first to be written, and the end for both.
        session.confirm(first + 1n);
        session.confirm(second);
        session.confirm(first);
        await session[Symbol.asyncDispose]();
        // At once: the position was written before the end, and the slot is free.
        assert.equal(formatLsn(await scene.confirmed()), formatLsn(second));
        assert.equal(await scene.holder(), null);
      }
      await using again = await scene.open();
      const frames = await takeUntil(again, (seen) => commitsOf(seen).length === 1);
      assert.deepEqual(idsOf(frames), [3]);
    });

    test("sends nothing that lies before where it is to begin, and confirms nothing below", async () => {
      await using scene = await openScene(major);
      const { sql } = scene.db;
      await sql`insert into items values (1)`;
      const from = await currentLsn(scene.db);
      await sql`insert into items values (2)`;
      const before = await scene.confirmed();
      await using session = await scene.open({ from });
      const frames = await takeUntil(session, (seen) => commitsOf(seen).length === 1);
      assert.deepEqual(idsOf(frames), [2]);
      session.confirm(from - 1n);
      await session[Symbol.asyncDispose]();
      assert.equal(await scene.confirmed(), before);
    });

    test("a slot that another session reads is said to be active, and for whom", async () => {
      await using scene = await openScene(major);
      await using session = await scene.open();
      const pid = await scene.holder();
      await assert.rejects(
        scene.open(),
        retryable(
          "SLOT_ACTIVE",
          `Cannot start replication slot "${scene.slot}": it is active for PID ${pid}`,
        ),
      );
      await scene.db.sql`insert into items values (1)`;
      await takeUntil(session, (seen) => commitsOf(seen).length === 1);
    });

    test("an ended walsender is a failure that may pass, once what came before was taken", async () => {
      await using scene = await openScene(major);
      await using session = await scene.open();
      await scene.db.sql`insert into items values (1)`;
      await eventually("frames", () => Promise.resolve(!session.empty));
      const before = [...await takeUntil(session, (seen) => commitsOf(seen).length === 1)];
      await scene.db.sql`insert into items values (2)`;
      await eventually("frames", () => Promise.resolve(!session.empty));
      await scene.db.sql`select pg_terminate_backend(${await scene.holder()})`;
      await eventually("a free slot", async () => await scene.holder() === null);
      await assert.rejects(async () => {
        for (;;) before.push(...await session.take(never, 60_000));
      }, retryable("CONNECTION_CLOSED"));
      assert.deepEqual(idsOf(before).slice(0, 1), [1]);
      await assert.rejects(session.take(never, 60_000), retryable("CONNECTION_CLOSED"));
    });

    test("a slot that is gone, and one that never was, are said to be missing", async () => {
      await using scene = await openScene(major);
      const session = await scene.open();
      await session[Symbol.asyncDispose]();
      await scene.db.sql`select pg_drop_replication_slot(${scene.slot})`;
      await assert.rejects(scene.open(), retryable("SLOT_MISSING", /doesn't exist/));
    });

    test("a missing publication ends it, instead of rows that silently don't come", async () => {
      await using scene = await openScene(major);
      await scene.db.sql.unsafe(
        `alter role ${scene.db.readerRole} set client_min_messages = error`,
      );
      await using session = await scene.open({ publication: "none" });
      await scene.db.sql`insert into items values (1)`;
      await assert.rejects(
        takeUntil(session, () => false),
        retryable("PUBLICATION_MISSING", /there is no publication "none"/),
      );
    });

    test("a role that may not replicate is told the statement that lets it", async () => {
      await using scene = await openScene(major);
      await scene.db.sql.unsafe(`alter role ${scene.db.readerRole} noreplication`);
      await assert.rejects(scene.open(), (error) => {
        assert.ok(error instanceof FatalError, String(error));
        assert.equal(error.hint, `ALTER ROLE "${scene.db.readerRole}" REPLICATION;`);
        return true;
      });
    });

    test("values are printed as on any other connection, whatever the role's settings", async () => {
      await using scene = await openScene(major);
      const { sql, readerRole, readerUrl } = scene.db;
      for (
        const setting of [
          "datestyle = 'German'",
          "timezone = 'America/Chicago'",
          "extra_float_digits = -10",
          "bytea_output = 'escape'",
          "intervalstyle = 'sql_standard'",
        ]
      ) await sql.unsafe(`alter role ${readerRole} set ${setting}`);
      await sql.unsafe(`
        create table odd (id int primary key, at timestamptz, f float8, b bytea, i interval);
        alter publication "it's ""odd""" add table odd;`).simple();
      await using session = await scene.open();
      await sql`insert into odd values
        (1, '2026-03-08 01:59:59.123456-06', 0.1::float8 + 0.2, '\\x00ff5c', '1 day 02:03:04.5')`;
      const frames = await takeUntil(session, (seen) => commitsOf(seen).length === 1);
      await using database = openDatabase({
        url: readerUrl,
        pooler: "none",
        rowSecurity: "refuse",
        maxConnections: 1,
        applicationName: "driftless/values",
        statementTimeoutMs: 0,
      });
      const rows = await database.query({ text: "SELECT * FROM odd" }, never);
      assert.deepEqual(rowsOf(frames), rows.map((row) => [...row]));
      assert.equal(rows[0]?.[1], "2026-03-08 07:59:59.123456+00");
    });
  });
}

describe("a replication session's limits", () => {
  test("while nothing is taken it stays connected and holds a megabyte or so; then all comes", async () => {
    await using scene = await openScene(18);
    const { sql, readerRole } = scene.db;
    await sql.unsafe(`alter role ${readerRole} set wal_sender_timeout = '5s'`);
    const count = 5_000;
    await sql`insert into items
      select n, repeat(md5(n::text), 320) from generate_series(1, ${count}) n`;
    {
      await using session = await scene.open();
      const stuck = await eventually("a walsender that has to wait", () => scene.blocked());
      // Longer than the timeout later the server has heard of us all the time, and waits still.
      await eventually("answers all the while", async () => {
        const now = await scene.blocked();
        return now !== undefined && now.replied - stuck.replied > 7_000;
      });
      const held = sizeOf(await session.take(never, 60_000));
      assert.ok(held > 500_000 && held < 2_500_000, `${held} bytes were held`);
      await session.take(never, 60_000);
      // In the midst of the transaction: the slot is free, and nothing was confirmed.
    }
    await eventually("a free slot", async () => await scene.holder() === null);
    await using session = await scene.open();
    const ids: number[] = [];
    let end: bigint | undefined;
    while (end === undefined) {
      const frames = await session.take(never, 60_000);
      assert.ok(sizeOf(frames) < 2_500_000);
      ids.push(...idsOf(frames));
      [end] = commitsOf(frames);
    }
    assert.deepEqual(ids, range(1, count));
    session.confirm(end);
    await eventually("its position", async () => await scene.confirmed() === end);
  });

  test("a server that isn't heard of any more is given up", async () => {
    await using scene = await openScene(18);
    await scene.db.sql.unsafe(`alter role ${scene.db.readerRole} set wal_sender_timeout = '5s'`);
    await using session = await scene.open();
    // Longer than its timeout: a server that has all it sent confirmed is heard of when it is asked.
    const began = performance.now();
    await takeUntil(session, (seen) => {
      const last = seen.at(-1);
      if (last?.kind === "alive") session.confirm(last.end);
      return performance.now() - began > 6_000 && last !== undefined;
    });
    const walsender = await scene.holder() ?? 0;
    process.kill(walsender, "SIGSTOP");
    try {
      await assert.rejects(takeUntil(session, () => false), retryable("CONNECTION_LOST"));
    } finally {
      process.kill(walsender, "SIGCONT");
    }
  });

  test("an abort ends what waits, with the signal's reason, and frees the slot", async () => {
    await using scene = await openScene(18);
    const reason = new Error("enough");
    await assert.rejects(scene.open({}, AbortSignal.abort(reason)), reason);
    {
      await using session = await scene.open();
      const abort = new AbortController();
      const taking = session.take(abort.signal, 60_000);
      abort.abort(reason);
      await assert.rejects(taking, reason);
      const ending = session.take(never, 60_000);
      const [, , ended] = await Promise.allSettled([
        session[Symbol.asyncDispose](),
        session[Symbol.asyncDispose](),
        ending,
      ]);
      assert.equal(ended.status, "rejected");
      assert.equal(await scene.holder(), null);
    }
    for (let turn = 0; turn < 10; turn++) {
      const abort = new AbortController();
      const opening = scene.open({}, abort.signal);
      opening.catch(() => {});
      // At another moment of the opening each time.
      for (let at = 0; at < turn; at++) await scene.holder();
      abort.abort(reason);
      await opening.then(
        (session) => session[Symbol.asyncDispose](),
        (error) => assert.equal(error, reason),
      );
      await eventually("a free slot", async () => await scene.holder() === null);
    }
  });
});

describe("a replication session on a server of its own", () => {
  let server: PrivatePostgres;
  before(async () => {
    server = await startPostgres({ major: 18 });
  });
  after(() => server.stop("SIGQUIT"));

  test("TLS is as on any other connection", async () => {
    await using scene = await openScene(server);
    const { sql } = scene.db;
    const user = serverUser();
    for (const [name, text] of [["server.crt", CERTIFICATE], ["server.key", KEY]] as const) {
      const file = join(server.dataDir, name);
      writeFileSync(file, text, { mode: 0o600 });
      if (user !== undefined) chownSync(file, user.uid, user.gid);
    }
    await sql`alter system set ssl = on`;
    await sql`select pg_reload_conf()`;
    await eventually("TLS", async () => {
      await using trying = await scene.open({ tls: { mode: "require" } });
      return trying.empty || true;
    });
    await using session = await scene.open({ tls: { mode: "verify-full", ca: CERTIFICATE } });
    const [row] = await sql`select ssl from pg_stat_ssl where pid = ${await scene.holder()}`;
    assert.deepEqual(row, { ssl: true });
    await sql`insert into items values (1)`;
    assert.deepEqual(idsOf(await takeUntil(session, (seen) => commitsOf(seen).length === 1)), [1]);
    await session[Symbol.asyncDispose]();
    assert.equal(await scene.holder(), null);
    await assert.rejects(
      scene.open({ tls: { mode: "verify-full", ca: OTHER_CERTIFICATE } }),
      (error) => error instanceof FatalError && /tls\.ca/.test(error.hint),
    );
  });

  test("a server that restarts, and a slot whose WAL is gone, are failures that may pass", async () => {
    await using scene = await openScene(server);
    const session = await scene.open();
    await scene.db.sql`insert into items values (1)`;
    assert.deepEqual(idsOf(await takeUntil(session, (seen) => commitsOf(seen).length === 1)), [1]);
    // It would wait for ever for the position that nobody confirms here.
    await server.restart();
    await assert.rejects(
      takeUntil(session, () => false),
      retryable("57P03", "Cannot read the WAL: the server is shutting down"),
    );
    await session[Symbol.asyncDispose]();
    {
      await using again = await scene.open();
      assert.deepEqual(idsOf(await takeUntil(again, (seen) => commitsOf(seen).length === 1)), [1]);
    }
    const { sql } = scene.db;
    await sql`alter system set max_slot_wal_keep_size = '1MB'`;
    await sql`select pg_reload_conf()`;
    await eventually("a lost slot", async () => {
      await sql`select pg_logical_emit_message(false, 'x', 'x'), pg_switch_wal()`;
      await sql`checkpoint`;
      const [row] = await sql`
        select wal_status from pg_replication_slots where slot_name = ${scene.slot}`;
      return row?.["wal_status"] === "lost";
    });
    await assert.rejects(scene.open(), retryable("SLOT_LOST"));
  });
});

interface Scene extends AsyncDisposable {
  readonly db: TestDatabase;
  readonly slot: string;
  open(other?: Partial<WalSessionOptions>, signal?: AbortSignal): Promise<WalSession>;
  confirmed(): Promise<bigint>;
  /** The pid of who reads the slot. */
  holder(): Promise<number | null>;
  /** Of a walsender that can send no more: when it last heard of us, in ms by its clock. */
  blocked(): Promise<{ readonly replied: number } | undefined>;
}

async function openScene(on: 18 | 15 | TestPostgres): Promise<Scene> {
  const db = await createDatabase(DDL, on);
  const slot = db.name;
  await db.sql.unsafe(`alter role ${db.readerRole} replication`);
  await db.sql`select pg_create_logical_replication_slot(${slot}, 'pgoutput')`;
  const slotRow = async () => {
    const [row] = await db.sql<{ confirmed: string; holder: number | null }[]>`
      select confirmed_flush_lsn::text as confirmed, active_pid as holder
      from pg_replication_slots where slot_name = ${slot}`;
    return row;
  };
  const holder = async () => (await slotRow())?.holder ?? null;
  return {
    db,
    slot,
    holder,
    open: (other = {}, signal = never) =>
      openWalSession({
        url: db.readerUrl,
        rowSecurity: "refuse",
        applicationName: "driftless/wal-test",
        slot,
        publication: PUBLICATION,
        from: 0n,
        ...other,
      }, signal),
    confirmed: async () => parseLsn((await slotRow())?.confirmed ?? ""),
    async blocked() {
      const [row] = await db.sql<{ replied: string }[]>`
        select extract(epoch from r.reply_time) * 1000 as replied
        from pg_stat_replication r
        join pg_stat_activity a using (pid)
        join pg_replication_slots s on s.active_pid = r.pid
        where s.slot_name = ${slot} and a.wait_event = 'WalSenderWriteData' and reply_time notnull`;
      return row === undefined ? undefined : { replied: Number(row.replied) };
    },
    async [Symbol.asyncDispose]() {
      // A database whose slot is being read can't be dropped.
      await eventually("a free slot", async () => await holder() === null);
      await db[Symbol.asyncDispose]();
    },
  };
}

/** Takes until all that was taken is enough. */
async function takeUntil(
  session: WalSession,
  enough: (seen: readonly WalFrame[]) => boolean,
): Promise<readonly WalFrame[]> {
  const seen: WalFrame[] = [];
  const until = performance.now() + 60_000;
  while (!enough(seen)) {
    assert.ok(performance.now() < until, `only ${seen.length} frames came`);
    seen.push(...await session.take(never, 1_000));
  }
  return seen;
}

function payloadsOf(frames: readonly WalFrame[], type: string): readonly Uint8Array[] {
  return frames.flatMap((frame) =>
    frame.kind === "data" && frame.payload[0] === type.charCodeAt(0) ? [frame.payload] : []
  );
}

/** Where each transaction ends. */
function commitsOf(frames: readonly WalFrame[]): readonly bigint[] {
  return payloadsOf(frames, "C").map((payload) => viewOf(payload).getBigUint64(10));
}

/** The columns of each inserted row, as text. */
function rowsOf(frames: readonly WalFrame[]): readonly (readonly (string | null)[])[] {
  return payloadsOf(frames, "I").map((payload) => {
    const view = viewOf(payload);
    let at = 8;
    return Array.from({ length: view.getUint16(6) }, () => {
      if (payload[at++] !== "t".charCodeAt(0)) return null;
      const length = view.getUint32(at);
      at += 4 + length;
      return new TextDecoder().decode(payload.subarray(at - length, at));
    });
  });
}

function idsOf(frames: readonly WalFrame[]): readonly number[] {
  return rowsOf(frames).map(([id]) => Number(id));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function sizeOf(frames: readonly WalFrame[]): number {
  return frames.reduce((sum, frame) => sum + (frame.kind === "data" ? frame.payload.length : 0), 0);
}

function range(first: number, last: number): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}

async function currentLsn(db: TestDatabase): Promise<bigint> {
  const [row] = await db.sql<{ lsn: string }[]>`select pg_current_wal_lsn()::text as lsn`;
  return parseLsn(row?.lsn ?? "");
}

function retryable(code: string, message: string | RegExp = ""): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof RetryableError, String(error));
    assert.equal(error.code, code);
    if (typeof message === "string") assert.ok(error.message.includes(message), error.message);
    else assert.match(error.message, message);
    return true;
  };
}

const OTHER_CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBtTCCAVugAwIBAgIUWBmEWiI6vPP58Fn9JqwDK7ziiVIwCgYIKoZIzj0EAwIw
ITEfMB0GA1UEAwwWYW5vdGhlciBkcmlmdGxlc3MgdGVzdDAgFw0yNjExMjEyMDU0
MzdaGA8yMTI2MTAyODIwNTQzN1owITEfMB0GA1UEAwwWYW5vdGhlciBkcmlmdGxl
c3MgdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFbpw+RGRSSedpUIqRtB
iEZ5cZVR02WaI6MXJvQrllHuzVhAc+wHJ5g62GMyOHwInjQH9NpuAZlJ1IgDBlcg
RNejbzBtMB0GA1UdDgQWBBQE0m9tOKVOKkE/j2kADeRBIa1m1jAfBgNVHSMEGDAW
gBQE0m9tOKVOKkE/j2kADeRBIa1m1jAPBgNVHRMBAf8EBTADAQH/MBoGA1UdEQQT
MBGHBH8AAAGCCWxvY2FsaG9zdDAKBggqhkjOPQQDAgNIADBFAiAi68UleA2W/K0j
yttH5zvbvhbO4hLqq4nLAu6niblxygIhANgfcdehV03vsx/iB0KN3snWel0lsjFB
JvZDzgcIFd2b
-----END CERTIFICATE-----
`;
