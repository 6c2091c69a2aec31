import type { RowKey } from "../core/change.ts";
import type { SeedState } from "../core/checkpoint.ts";
import { FatalError, RetryableError } from "../core/errors.ts";
import type { IndexReport } from "../core/index_report.ts";
import type { JsonObject } from "../core/json.ts";
import type { IndexPlan } from "../core/plan.ts";
import type { OpenSearchClient } from "./client.ts";
import { mappingConflicts, sameJson } from "./conflicts.ts";
import {
  deleteIndex,
  type Generation,
  listGenerations,
  type LiveIndex,
  ownershipMark,
  readLive,
  readUuids,
  refreshIndexes,
  swapAlias,
} from "./generations.ts";
import { inspectIndex } from "./inspect_index.ts";
import { mappingOf } from "./mapping.ts";
import { mergeJson } from "./merge.ts";
import { aliasName, checkName, physicalName } from "./names.ts";
import { checkDurability, fillSettings, servingSettings } from "./settings.ts";
import { createIndex, type IndexState, type StateStore } from "./state.ts";

/** The physical indexes behind the aliases, and how far they are filled. */
export interface Indices {
  seedState(plan: IndexPlan, signal: AbortSignal): Promise<SeedState | undefined>;
  inspect(plan: IndexPlan, signal: AbortSignal): Promise<IndexReport>;
  ensure(plan: IndexPlan, fresh: string | undefined, signal: AbortSignal): Promise<void>;
  saveSeed(index: string, progress: SeedProgress, signal: AbortSignal): Promise<void>;
  /** `settled` resolves when nobody works on a generation beside any more. */
  markSeeded(index: string, settled: () => Promise<unknown>, signal: AbortSignal): Promise<void>;
  refresh(indexes: readonly string[], signal: AbortSignal): Promise<void>;
  /** Throws FatalError INDEX_LOST when an index isn't the one that `ensure` saw. */
  checkPresent(signal: AbortSignal, indexes?: readonly string[]): Promise<void>;
  /** The index to write an index's documents to. Throws FatalError NOT_ENSURED. */
  physical(index: string): string;
  /**
   * The index of the same shape that searches see while `physical` is filled, if there is one: live
   * writes go there too.
   */
  beside(index: string): string | undefined;
  /** `physical`; for a process that writes nothing what searches see, behind the alias. */
  readable(index: string): string;
}

export interface SeedProgress {
  readonly after: RowKey;
  readonly rows: number;
}

interface Ensured {
  readonly plan: IndexPlan;
  state: IndexState;
  beside: { readonly physical: string; readonly uuid: string } | undefined;
}

export function openIndices(client: OpenSearchClient, store: StateStore, prefix: string): Indices {
  const ensured = new Map<string, Ensured>();

  function entry(index: string): Ensured {
    const found = ensured.get(index);
    if (found !== undefined) return found;
    const message = `Cannot write to index "${index}": nothing has ensured it`;
    throw new FatalError("NOT_ENSURED", message, "This is a bug.");
  }

  async function save(entry: Ensured, state: IndexState, signal: AbortSignal): Promise<void> {
    await store.saveIndex(state, signal);
    entry.state = state;
  }

  /**
   * What is stored for the plan, when it is still there and was made with the mapping that is
   * derived today: a release that derives another one has it filled anew, like a changed plan.
   */
  async function stored(plan: IndexPlan, signal: AbortSignal): Promise<IndexState | undefined> {
    const state = await store.index(plan.name, signal);
    if (state === undefined || state.hash !== plan.hash) return undefined;
    const uuids = await readUuids(client, [state.physical], signal);
    if (uuids.get(state.physical) !== state.uuid) return undefined;
    const mapping = await store.mapping(state.physical, signal);
    return mapping !== undefined && sameJson(mapping.asked, mappingOf(plan)) ? state : undefined;
  }

  async function begin(plan: IndexPlan, seed: string, signal: AbortSignal): Promise<void> {
    const settings = fillSettings(plan);
    const { ours, highest } = await listGenerations(client, prefix, plan.name, signal);
    await drop(ours.filter(({ served }) => !served), signal);
    const last = (await store.index(plan.name, signal))?.generation ?? 0;
    const generation = 1 + Math.max(last, highest);
    const physical = physicalName(prefix, plan.name, plan.hash, generation);
    const asked = mappingOf(plan);
    const mappings = mergeJson(asked, { _meta: ownershipMark(plan.name) });
    if (!await createIndex(client, physical, { settings, mappings }, signal)) {
      const message = `Cannot create index "${physical}": another process just did`;
      throw new RetryableError("INDEX_EXISTS", message);
    }
    const live = await readLive(client, physical, signal);
    if (live === undefined) throw lost(physical);
    await store.saveMapping(physical, { asked, printed: live.mappings }, signal);
    const state = {
      index: plan.name,
      hash: plan.hash,
      generation,
      physical,
      uuid: live.uuid,
      seed,
      seeded: false,
      rows: 0,
    };
    await store.saveIndex(state, signal);
    ensured.set(plan.name, { plan, state, beside: await servedLike(state, ours, signal) });
  }

  async function resume(plan: IndexPlan, state: IndexState, signal: AbortSignal): Promise<void> {
    const { physical } = state;
    await checkLive(plan, state, signal);
    const { ours } = await listGenerations(client, prefix, plan.name, signal);
    if (state.seeded) await serve(plan, physical, ours, signal);
    const beside = state.seeded ? undefined : await servedLike(state, ours, signal);
    ensured.set(plan.name, { plan, state, beside });
  }

  async function checkLive(
    plan: IndexPlan,
    { physical, uuid }: IndexState,
    signal: AbortSignal,
  ): Promise<void> {
    // Throws for settings that would not be durable; the index keeps those it has.
    fillSettings(plan);
    const live = await readLive(client, physical, signal);
    if (live === undefined || live.uuid !== uuid) throw lost(physical);
    if (live.closed) {
      const message = `Cannot write to index "${physical}": it is closed`;
      throw new FatalError("INDEX_CLOSED", message, `Open it: POST /${physical}/_open.`);
    }
    checkDurability(live.settings, physical);
    await checkMapping(physical, live, signal);
  }

  async function servedLike(
    { physical, hash }: IndexState,
    generations: readonly Generation[],
    signal: AbortSignal,
  ): Promise<Ensured["beside"]> {
    const served = generations.find((each) =>
      each.served && each.hash === hash && each.physical !== physical
    );
    if (served === undefined) return undefined;
    const uuid = (await readUuids(client, [served.physical], signal)).get(served.physical);
    return uuid === undefined ? undefined : { physical: served.physical, uuid };
  }

  async function checkMapping(
    physical: string,
    live: LiveIndex,
    signal: AbortSignal,
  ): Promise<void> {
    const stored = await store.mapping(physical, signal);
    // What the server prints is compared with what it printed: it leaves defaults out and rewrites
    // values, so that never compares with what was asked for.
    const conflicts = stored === undefined
      ? ["(index) has no stored mapping"]
      : mappingConflicts(stored.printed, live.mappings);
    if (conflicts.length > 0) throw conflict(physical, conflicts);
  }

  /** The alias leads to this generation alone, and the others are gone. */
  async function serve(
    plan: IndexPlan,
    physical: string,
    generations: readonly Generation[],
    signal: AbortSignal,
  ): Promise<void> {
    const others = generations.filter((generation) => generation.physical !== physical);
    const from = others.filter(({ served }) => served).map((generation) => generation.physical);
    const served = generations.some((each) => each.physical === physical && each.served);
    if (!served || from.length > 0) {
      await swapAlias(client, aliasName(prefix, plan.name), physical, from, signal);
    }
    await drop(others, signal);
  }

  async function drop(generations: readonly Generation[], signal: AbortSignal): Promise<void> {
    for (const { physical } of generations) {
      await deleteIndex(client, physical, signal);
      await store.removeMapping(physical, signal);
    }
  }

  async function checkPresent(signal: AbortSignal, indexes = [...ensured.keys()]): Promise<void> {
    const expected = indexes.flatMap((index) => {
      const { state, beside } = entry(index);
      return beside === undefined ? [state] : [state, beside];
    });
    const names = [store.name, ...expected.map(({ physical }) => physical)];
    const uuids = await readUuids(client, names, signal);
    if (!uuids.has(store.name)) throw lost(store.name);
    for (const { physical, uuid } of expected) {
      if (uuids.get(physical) !== uuid) throw lost(physical);
    }
  }

  return {
    async seedState(plan, signal) {
      const state = await stored(plan, signal);
      if (state === undefined) return undefined;
      const { seed, seeded, after, rows } = state;
      return { seed, seeded, rows, ...(after === undefined ? {} : { after }) };
    },
    async inspect(plan, signal) {
      const state = await stored(plan, signal);
      const report = await inspectIndex(client, store, prefix, plan, state, signal);
      if (state !== undefined) await checkLive(plan, state, signal);
      return report;
    },
    async ensure(plan, fresh, signal) {
      checkName(prefix, plan.name);
      await store.prepare(signal);
      const state = await stored(plan, signal);
      if (state !== undefined && (fresh === undefined || fresh === state.seed)) {
        return await resume(plan, state, signal);
      }
      if (fresh === undefined) throw lost(aliasName(prefix, plan.name));
      await begin(plan, fresh, signal);
    },
    async saveSeed(index, { after, rows }, signal) {
      const current = entry(index);
      await checkPresent(signal, [index]);
      await save(current, { ...current.state, after, rows }, signal);
    },
    async markSeeded(index, settled, signal) {
      const current = entry(index);
      const { physical } = current.state;
      await checkPresent(signal, [index]);
      await restoreSettings(client, physical, servingSettings(current.plan), signal);
      await refreshIndexes(client, [physical], signal);
      const { ours } = await listGenerations(client, prefix, index, signal);
      // Seen and remembered before anything is deleted: a crash in between repeats these steps.
      const others = ours.filter((each) => each.physical !== physical);
      const from = others.filter(({ served }) => served).map((each) => each.physical);
      await swapAlias(client, aliasName(prefix, index), physical, from, signal);
      await save(current, { ...current.state, seeded: true }, signal);
      current.beside = undefined;
      await settled();
      await drop(others, signal);
    },
    async refresh(indexes, signal) {
      const names = indexes.flatMap((index) => {
        const known = ensured.get(index);
        // A process that writes nothing ensures nothing: what searches see is behind the alias.
        if (known === undefined) return [aliasName(prefix, index)];
        const { state, beside } = known;
        return beside === undefined ? [state.physical] : [state.physical, beside.physical];
      });
      await refreshIndexes(client, names, signal);
    },
    checkPresent,
    physical: (index) => entry(index).state.physical,
    beside: (index) => entry(index).beside?.physical,
    readable: (index) => ensured.get(index)?.state.physical ?? aliasName(prefix, index),
  };
}

async function restoreSettings(
  client: OpenSearchClient,
  physical: string,
  body: JsonObject,
  signal: AbortSignal,
): Promise<void> {
  await client.send({
    method: "PUT",
    path: `/${encodeURIComponent(physical)}/_settings`,
    body,
    purpose: { what: `restore the settings of index "${physical}"` },
    timeoutMs: 60_000,
  }, signal);
}

function lost(physical: string): FatalError {
  return new FatalError(
    "INDEX_LOST",
    `Cannot go on with index "${physical}": it isn't the one that was there before`,
    "Someone deleted, restored or renamed it. Start again: an index that is gone is filled anew.",
  );
}

function conflict(physical: string, conflicts: readonly string[]): FatalError {
  const shown = conflicts.slice(0, 5).join("; ");
  const more = conflicts.length > 5 ? `; and ${conflicts.length - 5} more` : "";
  return new FatalError(
    "MAPPING_CONFLICT",
    `Cannot use index "${physical}": its mapping isn't the plan's (${shown}${more})`,
    "Undo what was changed in the index by hand, or delete the physical index: it is filled anew.",
  );
}
