import { RetryableError } from "../../core/errors.ts";
import { notice } from "../../flow/notice.ts";
import type { TlsOptions } from "../tls.ts";
import { decodeFrame, encodeStatus, type WalFrame } from "./frames.ts";
import { openReplication, type Replication } from "./replication.ts";
import { publicationMissing, translateStream } from "./session_errors.ts";

export interface WalSessionOptions {
  readonly url: string;
  readonly tls?: TlsOptions;
  readonly rowSecurity: "refuse" | "allow";
  readonly applicationName: string;
  readonly slot: string;
  readonly publication: string;
  /** Transactions whose commit ends before it aren't sent, nor what the slot has confirmed. */
  readonly from: bigint;
}

/** One reading of a slot, from the open connection to its end. It never connects again. */
export interface WalSession extends AsyncDisposable {
  /**
   * All frames that are there, in order, at least one; [] when none came within `timeoutMs`. One
   * call at a time. Once what came before was taken: throws RetryableError when the connection or the
   * server ended it (CONNECTION_CLOSED, CONNECTION_LOST, PUBLICATION_MISSING, SLOT_LOST, a SQLSTATE);
   * throws the signal's reason when it aborts.
   */
  take(signal: AbortSignal, timeoutMs: number): Promise<readonly WalFrame[]>;
  /** Nothing is waiting to be taken. */
  readonly empty: boolean;
  /**
   * Never sent again up to here; told to the server at once (coalesced) and again with every status.
   * Never goes back, nor below `from`: servers would let the slot go back.
   */
  confirm(lsn: bigint): void;
  /** Has the server say how far it has read (an `alive` frame). */
  ask(): void;
  /**
   * Tells the server the last confirmed position, ends the connection. Idempotent. Resolves when the
   * server has let go of the slot, or after about two seconds if it doesn't.
   */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Connects and starts to read. Throws RetryableError SLOT_ACTIVE, SLOT_MISSING, SLOT_LOST, FatalError
 * 42501 for a role that may not replicate, and what any other connection throws.
 */
export async function openWalSession(
  options: WalSessionOptions,
  signal: AbortSignal,
): Promise<WalSession> {
  return await openReplication(options, (replication) => read(options, replication), signal);
}

function read(
  names: WalSessionOptions,
  { stream, timeoutMs, ...connection }: Replication,
): WalSession {
  let frames: WalFrame[] = [];
  let bytes = 0;
  let paused = false;
  /** What `take` throws when nothing is left. */
  let failure: { readonly error: unknown } | undefined;
  /** The stream takes no more. */
  let gone = false;
  let confirmed = 0n;
  let replyWanted = false;
  /** A status is owed; one at most is being written. */
  let owed = false;
  let writing = false;
  /** Between a Begin and its Commit. */
  let inside = false;
  let commits = 0;
  let silentTicks = 0;
  let pingedAt = -Infinity;
  let stoppingSince: number | undefined;
  let leaving: Promise<void> | undefined;
  const arrived = notice();
  const committed = notice();
  const finished = notice();

  // Whatever the back-pressure: a server that hears nothing for wal_sender_timeout hangs up.
  const tickMs = timeoutMs === 0 ? SLOWEST_TICK_MS : Math.min(SLOWEST_TICK_MS, timeoutMs / 3);
  const patience = timeoutMs === 0 ? Infinity : Math.ceil(timeoutMs / tickMs);
  const rapidMs = Math.min(1_000, timeoutMs === 0 ? Infinity : timeoutMs / 4);
  const ticking = setInterval(() => {
    // Counted by ticks: a process that was held up itself blames nobody.
    silentTicks = paused ? 0 : silentTicks + 1;
    if (silentTicks > patience) {
      const what = `nothing came for ${Math.round(tickMs * patience)} ms`;
      return giveUp(new RetryableError("CONNECTION_LOST", `Cannot read the WAL: ${what}`));
    }
    status(silentTicks > 1);
  }, tickMs);

  stream.on("data", (payload) => {
    silentTicks = 0;
    try {
      // Its own copy: the chunk it is part of can go, and what waits here is what is counted.
      receive(decodeFrame(new Uint8Array(payload)), payload.length);
    } catch (error) {
      giveUp(error);
    }
  });
  stream.on("error", (error) => close(translateStream(error, names)));
  stream.on("end", () => close(ended()));
  stream.on("close", () => close(ended()));
  stream.on("finish", () => finished.raise());
  // Postgres 18 warns of a missing publication, and of nothing else so, and sends what is left.
  connection.onNotice((code) => {
    if (code === "55000") giveUp(publicationMissing(names));
  });

  function receive(frame: WalFrame, length: number): void {
    if (frame.kind === "alive" && frame.replyWanted) pinged();
    if (frame.kind === "data") {
      const type = frame.payload[0];
      if (type === BEGIN) inside = true;
      else if (type === COMMIT) {
        inside = false;
        commits++;
        committed.raise();
      }
    }
    if (leaving !== undefined) return;
    // Of positions one behind the other the last says it all.
    if (frame.kind === "alive" && frames.at(-1)?.kind === "alive") frames.pop();
    else bytes += length;
    frames.push(frame);
    if (!paused && (bytes >= MOST_BYTES || frames.length >= MOST_FRAMES)) {
      paused = true;
      stream.pause();
    }
    arrived.raise();
  }

  /**
   * A server that shuts down waits until we have confirmed all it wrote, and asks for that again as
   * soon as it is answered; otherwise none asks who was told within half of its timeout. That may be
   * too long, with a sink that doesn't answer: after a while we let it go.
   */
  function pinged(): void {
    const now = performance.now();
    const sinceMs = now - pingedAt;
    pingedAt = now;
    if (sinceMs > rapidMs) {
      stoppingSince = undefined;
      return status();
    }
    stoppingSince ??= now;
    if (now - stoppingSince > STOPPING_MS) {
      const state = "the server is shutting down";
      return giveUp(new RetryableError("57P03", `Cannot read the WAL: ${state}`));
    }
    setTimeout(status, rapidMs / 4);
  }

  function fail(error: unknown): void {
    failure ??= { error };
    clearInterval(ticking);
    arrived.raise();
  }

  function close(error: unknown): void {
    gone = true;
    fail(error);
    committed.raise();
    finished.raise();
  }

  /** Whoever takes may be busy for long: the server is let go of at once. */
  function giveUp(error: unknown): void {
    fail(error);
    leaving ??= leave();
  }

  /** What falls due while one is being written goes with the next. */
  function status(wantsReply = false): void {
    if (leaving !== undefined) return;
    owed = true;
    replyWanted ||= wantsReply;
    if (!writing) write();
  }

  function write(): void {
    if (gone) return;
    const payload = encodeStatus(confirmed, replyWanted, Date.now());
    owed = false;
    replyWanted = false;
    writing = true;
    try {
      stream.write(payload, () => {
        writing = false;
        if (owed && leaving === undefined) write();
      });
    } catch (error) {
      close(translateStream(error, names));
    }
  }

  async function take(signal: AbortSignal, timeoutMs: number): Promise<readonly WalFrame[]> {
    signal.throwIfAborted();
    const until = performance.now() + timeoutMs;
    while (frames.length === 0 && failure === undefined) {
      const left = until - performance.now();
      if (left <= 0 || !await arrived.wait(signal, left)) break;
    }
    if (frames.length === 0 && failure !== undefined) throw failure.error;
    const taken = frames;
    frames = [];
    bytes = 0;
    if (paused) {
      paused = false;
      if (!gone) stream.resume();
    }
    return taken;
  }

  async function leave(): Promise<void> {
    clearInterval(ticking);
    if (!gone) {
      // What still comes is thrown away, so that the server gets rid of it and hears us.
      paused = false;
      stream.resume();
      write();
      if (await atBoundary()) {
        stream.end();
        await finished.wait(NEVER, FINISH_MS);
      }
    }
    stream.destroy();
    await connection.hangUp(CLOSE_MS);
  }

  /**
   * Once it has read CopyDone, a walsender hears nothing more before the end of the transaction that it
   * sends: a long one is broken off instead.
   */
  async function atBoundary(): Promise<boolean> {
    const until = performance.now() + BOUNDARY_MS;
    const before = commits;
    while (inside && commits === before && !gone) {
      if (!await committed.wait(NEVER, until - performance.now())) return false;
    }
    return !gone;
  }

  return {
    take,
    get empty() {
      return frames.length === 0;
    },
    confirm(lsn: bigint): void {
      if (lsn <= confirmed || lsn < names.from) return;
      confirmed = lsn;
      status();
    },
    ask: () => status(true),
    [Symbol.asyncDispose](): Promise<void> {
      frames = [];
      fail(ended());
      return leaving ??= leave();
    },
  };
}

function ended(): RetryableError {
  return new RetryableError(
    "CONNECTION_CLOSED",
    "Cannot read the WAL: the server ended the replication",
  );
}

const NEVER = new AbortController().signal;
/** What may wait to be taken, beside one socket buffer and one message. */
const MOST_BYTES = 1024 * 1024;
const MOST_FRAMES = 2_000;
const SLOWEST_TICK_MS = 10_000;
/** As long as a checkpoint takes that is written every second, and then some. */
const STOPPING_MS = 3_000;
/** How long a disposal waits: for the end of a transaction, for the server's CopyDone, for its hanging up. */
const BOUNDARY_MS = 300;
const FINISH_MS = 700;
const CLOSE_MS = 1_000;
const BEGIN = 0x42; // B
const COMMIT = 0x43; // C
