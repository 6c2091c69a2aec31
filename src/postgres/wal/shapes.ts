import type { Change } from "../../core/change.ts";
import type { Database } from "../client.ts";
import type { ReplicatedTable } from "../ways.ts";
import { changesOf, type RowMessage, type Shape, shapeOf, type Unfit } from "./changes.ts";
import type { Relation } from "./pgoutput.ts";
import { loadRelations, relationsOf } from "./relations.ts";

/** What a session's relations mean for the followed tables. */
export interface RelationShapes {
  /**
   * A relation as it is described from here on. Asks the database once about one it doesn't know, when
   * `visible` has resolved: the transaction it comes with may have made it.
   */
  meet(relation: Relation, visible: () => Promise<void>, signal: AbortSignal): Promise<void>;
  /** Its rows are those of a followed table. */
  follows(oid: number): boolean;
  /** What a row's message says of each table that its relation stands for. */
  changesOf(message: RowMessage): readonly (Change | LostTable)[];
  /** The followed tables (`tableId`) that these relations stand for; asks as `meet`. */
  truncated(
    oids: readonly number[],
    visible: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<readonly string[]>;
}

/** A table that this message can't be followed for. */
export interface LostTable extends Unfit {
  /** `tableId`. */
  readonly id: string;
}

export async function relationShapes(
  database: Database,
  tables: readonly ReplicatedTable[],
  signal: AbortSignal,
): Promise<RelationShapes> {
  const followed = new Map(await loadRelations(database, tables, signal));
  const shapes = new Map<number, readonly (Shape | LostTable)[]>();

  const tablesOf = async (oid: number, visible: () => Promise<void>, signal: AbortSignal) => {
    const known = followed.get(oid);
    if (known !== undefined) return known;
    await visible();
    // A partition that was made since, or a table of others that is published too.
    const found = await relationsOf(database, oid, tables, signal);
    followed.set(oid, found);
    return found;
  };

  return {
    follows: (oid) => (shapes.get(oid) ?? []).length > 0,
    async meet(relation, visible, signal) {
      const found = await tablesOf(relation.oid, visible, signal);
      shapes.set(
        relation.oid,
        found.map((table) => {
          const shape = shapeOf(relation, table);
          return "unfit" in shape ? { ...shape, id: table.id } : shape;
        }),
      );
    },
    changesOf: (message) =>
      (shapes.get(message.oid) ?? []).flatMap((shape): readonly (Change | LostTable)[] => {
        if ("unfit" in shape) return [shape];
        const found = changesOf(message, shape);
        return "unfit" in found ? [{ ...found, id: shape.table.id }] : found;
      }),
    async truncated(oids, visible, signal) {
      const ids = new Set<string>();
      for (const oid of oids) {
        for (const { id } of await tablesOf(oid, visible, signal)) ids.add(id);
      }
      return [...ids];
    },
  };
}
