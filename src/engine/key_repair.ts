import type { DocumentId } from "../core/document.ts";
import type { Built } from "../core/ports.ts";
import type { Compared, KeyComparison } from "./key_compare.ts";
import { retrying } from "./retrying.ts";
import { slices } from "./slices.ts";
import { write } from "./write.ts";

/** Mends what a comparison of keys found in one sink's index. All calls may be repeated. */
export interface KeyRepair {
  /**
   * Writes what is missing; builds each suspect, writes it when there is a row, else remembers it as
   * an orphan, or deletes it at once where no number is too many.
   */
  mend(
    missing: readonly DocumentId[],
    suspects: readonly string[],
    buckets: readonly number[],
    signal: AbortSignal,
  ): Promise<void>;
  /** Deletes the orphans, unless there are too many, and says how all of it went. */
  finish(signal: AbortSignal): Promise<Compared>;
}

/** `mostOrphans`: of more, none is deleted. Infinity: all are, as they are found. */
export function keyRepair(comparison: KeyComparison, mostOrphans: number): KeyRepair {
  const { pipeline, plan, sink, epoch, filling, engine } = comparison;
  const { builder } = pipeline;
  const policy = { observe: engine.observe, limitMs: engine.retryLimitMs };
  const size = slices();
  /** Found to have no row; ids only, so that what is deleted is decided by a build just before. */
  const orphans = new Set<string>();
  const orphanBuckets = new Set<number>();
  let unknown = 0;
  let written = 0;
  let deleted = 0;
  let left = 0;
  let found = 0;

  async function mend(
    missing: readonly DocumentId[],
    suspects: readonly string[],
    buckets: readonly number[],
    signal: AbortSignal,
  ): Promise<void> {
    const checked = suspects.flatMap((id) => idOf(id) ?? []);
    if (missing.length + checked.length > 0) await repair(missing, checked, buckets, signal);
    unknown += suspects.length - checked.length;
  }

  async function repair(
    missing: readonly DocumentId[],
    checked: readonly DocumentId[],
    buckets: readonly number[],
    signal: AbortSignal,
  ): Promise<void> {
    await advance(signal);
    const there = await rewrite(missing, "rows", signal);
    if (mostOrphans === Infinity) {
      const gone = await rewrite(checked, "all", signal);
      const { lacking, staying } = await readBack(there.written, gone.without, buckets, signal);
      written += there.written.length - lacking;
      deleted += gone.without.length - staying;
      left += lacking + staying;
      return;
    }
    // Once it is decided that none is deleted, suspects are only counted.
    const tooMany = orphans.size > mostOrphans;
    const { without } = await rewrite(tooMany ? [] : checked, "rows", signal);
    for (const { id } of without) orphans.add(id);
    if (without.length > 0) { for (const bucket of buckets) orphanBuckets.add(bucket); }
    const { lacking } = await readBack(there.written, [], buckets, signal);
    written += there.written.length - lacking;
    left += lacking;
    found += tooMany ? checked.length : without.length;
  }

  async function finish(signal: AbortSignal): Promise<Compared> {
    const tooMany = orphans.size > mostOrphans;
    if (!tooMany && orphans.size > 0) {
      await advance(signal);
      const ids = [...orphans].flatMap((id) => idOf(id) ?? []);
      const { without } = await rewrite(ids, "all", signal);
      const { staying } = await readBack([], without, [...orphanBuckets], signal);
      deleted += without.length - staying;
      left += staying;
      orphans.clear();
    }
    const refused = tooMany ? found : 0;
    return { missing: written, orphans: deleted, refused, unknown, left };
  }

  function idOf(id: string): DocumentId | undefined {
    const key = builder.keyOf(plan.name, id);
    return key === undefined ? undefined : { index: plan.name, id, key };
  }

  /** Past every version used so far: else an idle database's position would be too low to win. */
  function advance(signal: AbortSignal): Promise<void> {
    return retrying("source", () => builder.advancePosition(signal), policy, signal);
  }

  /** Builds and writes; "rows": a document without a row is reported, not deleted. */
  async function rewrite(
    ids: readonly DocumentId[],
    what: "rows" | "all",
    signal: AbortSignal,
  ): Promise<{ readonly written: readonly DocumentId[]; readonly without: readonly DocumentId[] }> {
    const written: DocumentId[] = [];
    const without: DocumentId[] = [];
    for (let rest = ids; rest.length > 0;) {
      const slice = rest.slice(0, Math.min(MOST_AT_ONCE, size.next(rest)));
      rest = rest.slice(slice.length);
      const leave = filling.enter();
      try {
        const bodies = await rewriteSlice(slice, what, signal);
        for (const id of slice) {
          const body = bodies.get(id.id);
          // One that is rejected is neither: its row is there, and it was said that it is left out.
          if (body === null) without.push(id);
          else if (body !== undefined) written.push(id);
        }
      } finally {
        leave();
      }
    }
    return { written, without };
  }

  /** The bodies by id, null without a row, undefined for what was rejected, built or not. */
  async function rewriteSlice(
    slice: readonly DocumentId[],
    what: "rows" | "all",
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, string | null>> {
    const build = () =>
      retrying("source", () => builder.build(slice, epoch, signal), policy, signal);
    const first = await build();
    size.learn(first.documents);
    const chosen = ({ documents, rejections }: Built): Built => ({
      documents: what === "all" ? documents : documents.filter(({ body }) => body !== null),
      rejections,
    });
    const rebuild = async () => chosen(await build());
    const built = chosen(first);
    const bodies = new Map(first.documents.map(({ id, body }) => [id, body]));
    if (built.documents.length + built.rejections.length > 0) {
      const builtAt = performance.now();
      const job = { built, builtAt, sinks: [sink], mode: "fill", rebuild } as const;
      for (const { id } of await write(pipeline, job, engine, signal)) bodies.delete(id);
    }
    return bodies;
  }

  /**
   * Lists the buckets again: how many of the written aren't there, and how many of the deleted are,
   * though their rows, looked at once more, are as they were.
   */
  async function readBack(
    written: readonly DocumentId[],
    gone: readonly DocumentId[],
    buckets: readonly number[],
    signal: AbortSignal,
  ): Promise<{ readonly lacking: number; readonly staying: number }> {
    if (written.length + gone.length === 0) return { lacking: 0, staying: 0 };
    const lacking = new Map(written.map((id) => [id.id, id]));
    const deleted = new Map(gone.map((id) => [id.id, id]));
    const staying: DocumentId[] = [];
    for await (const page of sink.keys?.idsIn(plan.name, buckets, signal) ?? []) {
      for (const id of page) {
        lacking.delete(id);
        const known = deleted.get(id);
        if (known !== undefined) staying.push(known);
      }
    }
    return {
      lacking: await count([...lacking.values()], (body) => body !== null, signal),
      staying: await count(staying, (body) => body === null, signal),
    };
  }

  async function count(
    ids: readonly DocumentId[],
    predicate: (body: string | null) => boolean,
    signal: AbortSignal,
  ): Promise<number> {
    let counted = 0;
    for (let from = 0; from < ids.length; from += MOST_AT_ONCE) {
      const { documents } = await retrying(
        "source",
        () => builder.build(ids.slice(from, from + MOST_AT_ONCE), epoch, signal),
        policy,
        signal,
      );
      counted += documents.filter(({ body }) => predicate(body)).length;
    }
    return counted;
  }

  return { mend, finish };
}

/** Documents in one build. */
const MOST_AT_ONCE = 1_000;
