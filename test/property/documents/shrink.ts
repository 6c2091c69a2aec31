/** Makes a failing world smaller for as long as it still fails in the same way. */
import type { Failure } from "./run.ts";
import type { FieldSpec, IndexSpec, World } from "./world.ts";
import { tablesIn } from "./world.ts";

export interface Shrunk {
  readonly world: World;
  readonly failure: Failure;
}

/** Tries at most this long; each try runs a world. */
const LIMIT_MS = 90_000;
const AT_ONCE = 4;

export async function shrunk(
  world: World,
  failure: Failure,
  run: (world: World) => Promise<Failure | undefined>,
): Promise<Shrunk> {
  let least: Shrunk = { world, failure };
  const deadline = performance.now() + LIMIT_MS;
  for (let tries = smaller(least); performance.now() < deadline;) {
    const batch: World[] = [];
    for (let next = tries.next(); next.done !== true; next = tries.next()) {
      batch.push(next.value);
      if (batch.length === AT_ONCE) break;
    }
    if (batch.length === 0) break;
    const found = await Promise.all(batch.map(run));
    const at = found.findIndex((each) => each?.kind === failure.kind);
    const [smallest, why] = [batch[at], found[at]];
    if (smallest === undefined || why === undefined) continue;
    least = { world: smallest, failure: why };
    tries = smaller(least);
  }
  return least;
}

/** Worlds with something less, the largest cuts first. */
function* smaller({ world, failure }: Shrunk): Generator<World> {
  const { steps, indexes, initial } = world;
  if (failure.step >= 0 && failure.step + 1 < steps.length) {
    yield { ...world, steps: steps.slice(0, failure.step + 1) };
  }
  if (world.sink !== "scripted") yield { ...world, sink: "scripted" };
  for (const less of without(indexes)) if (less.length > 0) yield { ...world, indexes: less };
  const used = new Set(indexes.flatMap((index) => [...tablesIn(index)]));
  const needed = new Set(
    world.tables.flatMap(({ name, links }) =>
      used.has(name) ? [name, ...links.map(({ to }) => to)] : []
    ),
  );
  const tables = world.tables.filter(({ name }) => needed.has(name));
  if (tables.length < world.tables.length) {
    const isThere = (statement: string) =>
      tables.some(({ name }) =>
        new RegExp(`^(?:INSERT INTO|UPDATE|DELETE FROM|TRUNCATE) "${name}"`).test(statement)
      );
    yield {
      ...world,
      tables,
      initial: initial.filter(isThere),
      steps: steps.map((step) => ({
        ...step,
        transactions: step.transactions.map((each) => each.filter(isThere)),
      })),
    };
  }
  for (const less of without(steps)) yield { ...world, steps: less };
  for (const half of halves(initial)) yield { ...world, initial: half };
  for (const [at, step] of steps.entries()) {
    const put = (less: typeof step) => ({ ...world, steps: steps.with(at, less) });
    for (const less of without(step.transactions)) yield put({ ...step, transactions: less });
    for (const [n, statements] of step.transactions.entries()) {
      for (const less of without(statements)) {
        yield put({ ...step, transactions: step.transactions.with(n, less) });
      }
    }
    if (step.offline) yield put({ ...step, offline: false });
  }
  for (const [at, index] of indexes.entries()) {
    for (const less of smallerIndexes(index)) yield { ...world, indexes: indexes.with(at, less) };
  }
  for (const less of without(initial)) yield { ...world, initial: less };
}

function* smallerIndexes(index: IndexSpec): Generator<IndexSpec> {
  for (const fields of smallerFields(index.fields)) yield { ...index, fields };
  for (const where of without(index.where)) yield { ...index, where };
  const { softDelete: _, ...kept } = index;
  if (index.softDelete !== undefined) yield kept;
}

function* smallerFields(fields: readonly FieldSpec[]): Generator<readonly FieldSpec[]> {
  for (const less of without(fields)) if (less.length > 0) yield less;
  for (const [at, field] of fields.entries()) {
    const put = (less: FieldSpec) => fields.with(at, less);
    if (field.kind === "scalar" && field.transforms.length > 0) {
      for (const transforms of without(field.transforms)) yield put({ ...field, transforms });
    }
    if (field.kind === "object") {
      for (const less of smallerFields(field.fields)) yield put({ ...field, fields: less });
    }
    if (field.kind === "aggregate" || field.kind === "relation") {
      for (const where of without(field.where)) yield put({ ...field, where });
    }
    if (field.kind !== "relation") continue;
    if (field.nested) yield put({ ...field, nested: false });
    for (const orderBy of without(field.orderBy)) yield put({ ...field, orderBy });
    const { limit, ...unlimited } = field;
    if (limit !== undefined) yield put(unlimited);
    for (const less of smallerFields(field.fields)) yield put({ ...field, fields: less });
  }
}

function* halves<T>(list: readonly T[]): Generator<readonly T[]> {
  if (list.length < 4) return;
  const middle = Math.floor(list.length / 2);
  yield list.slice(0, middle);
  yield list.slice(middle);
}

/** Each element left out in turn, the last one first. */
function* without<T>(list: readonly T[]): Generator<readonly T[]> {
  for (let at = list.length - 1; at >= 0; at--) yield list.toSpliced(at, 1);
}
