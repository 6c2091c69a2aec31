import type { PolledTable } from "../../src/postgres/poll/polled_table.ts";
import { type Arithmetic, captureUpdatedAt } from "../../src/postgres/poll/updated_at.ts";
import { captureChangelog } from "../../src/postgres/changelog/stream.ts";
import { captureOutbox } from "../../src/postgres/outbox/capture_outbox.ts";
import type { ChangeStream, StreamContext } from "../../src/postgres/stream.ts";
import { sweepRows } from "../../src/postgres/sweep/row_sweep.ts";
import { captureWal } from "../../src/postgres/wal/stream.ts";
import type { OutboxSettings } from "../../src/postgres/ways.ts";
import type { Random } from "../support/stress_random.ts";
import { keysetStream, naiveStream } from "./controls.ts";
import type { Meetings } from "./meetings.ts";
import type { FollowerSpec } from "./follower.ts";
import type { Interference } from "./interference.ts";
import {
  amidEnding,
  amidPreparing,
  builtUnseen,
  clockAfterListing,
  fencedBySnapshot,
  fencedByXmax,
  pastKeepalives,
  preparedFromEnded,
  risingXb,
  sweptFromXmax,
  withoutFirstLeg,
  withoutPrepared,
} from "./mutants.ts";

export interface Place {
  readonly database: string;
  /** As a role with SELECT alone. */
  readonly readerUrl: string;
  /** The same through PgBouncer in transaction mode. */
  readonly pooledUrl: string;
  readonly meetings: Meetings;
  /** `item` in pg_class. */
  readonly oid: string;
}

const ITEM: PolledTable = {
  table: { schema: "public", name: "item" },
  id: "public.item",
  key: [{ name: "id", type: "bigint", nullable: false }],
  joinColumns: [],
  stamp: { name: "updated_at", type: "timestamptz", zone: "UTC" },
  marginMs: 10,
  heap: true,
};

type Spec = Omit<FollowerSpec, "url" | "pooler" | "role" | "seesDeletes">;

/** Those who follow writers of all sorts. */
export function crowdFollowers(place: Place): readonly FollowerSpec[] {
  const { ours, pooled, control, mutant } = kinds(place);
  const exact = { seesDeletes: true } as const;
  const whole = { seesDeletes: true, seesSilent: true } as const;
  return [
    ours({ name: "updated_at", make: polled() }),
    pooled({ name: "updated_at, PgBouncer", make: polled() }),
    ours({ name: "changelog", make: logged(place, "c1"), ...exact }),
    pooled({ name: "changelog, PgBouncer", make: logged(place, "c2"), ...exact }),
    ours({ name: "outbox by xid", make: hinted("xid"), ...exact }),
    ours({ name: "outbox by stamp", make: hinted("stamp"), ...exact }),
    ours({ name: "outbox claimed", make: hinted("mark"), ...exact }),
    ours({ name: "row sweep", make: swept }),
    ours({ name: "WAL", make: decoded(place, "w1"), ...whole }),
    control({ name: "updated_at > cursor", make: naiveStream }),
    control({ name: "(updated_at, id) > cursor", make: keysetStream }),
    mutant({
      name: "changelog without leg 1",
      make: logged(place, "m1"),
      interfere: () => [withoutFirstLeg()],
      ...exact,
    }),
    mutant({
      name: "changelog fenced by xmax",
      make: logged(place, "m2"),
      interfere: () => [fencedByXmax()],
      ...exact,
    }),
    mutant({
      name: "changelog acknowledged early",
      make: logged(place, "m3"),
      acknowledgesEarly: true,
      ...exact,
    }),
    mutant({ name: "row sweep from xmax", make: swept, interfere: () => [sweptFromXmax()] }),
    mutant({
      name: "WAL acknowledged early",
      make: decoded(place, "w2"),
      acknowledgesEarly: true,
      ...whole,
    }),
    mutant({
      name: "WAL built before it is visible",
      make: decoded(place, "w3"),
      interfere: () => [builtUnseen()],
      ...whole,
    }),
    mutant({
      name: "WAL confirmed by keepalives",
      make: (context) => pastKeepalives(decoded(place, "w4"), context),
      ...whole,
    }),
  ];
}

/** Those whose trouble comes one at a time, so that nothing else makes good for it. */
export function duelFollowers(place: Place): readonly FollowerSpec[] {
  const { ours, pooled, mutant } = kinds(place);
  /** What any poller may meet, at these rates. */
  const weather =
    (preparing: number, ending: number, leads: boolean) => (random: Random): Interference[] => {
      const part = { meetings: place.meetings, random, leads };
      return [
        amidPreparing({ ...part, probability: preparing }),
        amidEnding({ ...part, probability: ending }),
      ];
    };
  const all = weather(0.7, 0.7, false);
  return [
    ours({ name: "updated_at", make: polled(), interfere: all }),
    pooled({ name: "updated_at, PgBouncer", make: polled(), interfere: all }),
    ours({ name: "changelog", make: logged(place, "c1"), seesDeletes: true }),
    ours({ name: "outbox by stamp", make: hinted("stamp"), interfere: all, seesDeletes: true }),
    ours({ name: "WAL", make: decoded(place, "w5"), seesDeletes: true, seesSilent: true }),
    mutant({
      name: "no pg_prepared_xacts",
      make: polled(),
      interfere: () => [withoutPrepared()],
    }),
    mutant({
      name: "clock after the listing",
      make: polled(),
      interfere: (random, context) => [clockAfterListing(random, context)],
    }),
    mutant({ name: "fenced by the snapshot", make: polled(fencedBySnapshot) }),
    mutant({ name: "xb rises", make: polled(risingXb), interfere: weather(0, 1, true) }),
    mutant({
      name: "prep: from the ended only",
      make: polled(preparedFromEnded),
      interfere: weather(1, 0, true),
    }),
  ];
}

function kinds(place: Place) {
  const direct = { url: place.readerUrl, pooler: "none", seesDeletes: false } as const;
  const through = { ...direct, url: place.pooledUrl, pooler: "transaction" } as const;
  type Given = Spec & { readonly seesDeletes?: boolean };
  const as = (base: Omit<FollowerSpec, keyof Spec>) => (spec: Given): FollowerSpec => ({
    ...base,
    ...spec,
  });
  return {
    ours: as({ ...direct, role: "ours" }),
    pooled: as({ ...through, role: "ours" }),
    control: as({ ...direct, role: "control" }),
    mutant: as({ ...direct, role: "mutant" }),
  };
}

function polled(arithmetic?: Arithmetic): FollowerSpec["make"] {
  return (context: StreamContext) =>
    captureUpdatedAt({
      tables: [ITEM],
      tracking: true,
      marginMs: ITEM.marginMs,
      ...(arithmetic === undefined ? {} : { arithmetic }),
    }, context);
}

function logged({ oid }: Place, consumer: string): FollowerSpec["make"] {
  const settings = { schema: "driftless", consumer, retentionMs: 3_600_000 };
  const tables = [{ table: ITEM.table, id: ITEM.id, oid, key: ["id"] }];
  return (context) => captureChangelog({ settings, tables }, context);
}

function decoded({ oid, database }: Place, name: string): (context: StreamContext) => ChangeStream {
  const settings = {
    slot: `driftless_${database}_${name}`,
    publication: "driftless",
    maxSlotLag: 0,
  };
  const table = { ...ITEM, oid, key: ["id"], columns: null, seesBefore: true };
  return (context) => captureWal({ settings, tables: [table] }, context);
}

function hinted(mode: "xid" | "stamp" | "mark"): FollowerSpec["make"] {
  const settings: OutboxSettings = {
    table: { schema: "public", name: mode === "mark" ? "claimed" : "outbox" },
    mode,
    columns: {
      table: "kind",
      key: "ref",
      position: "id",
      ...(mode === "xid" ? { xid: "xid" } : {}),
      ...(mode === "stamp" ? { stamp: "created_at" } : {}),
      ...(mode === "mark" ? { processed: "processed_at" } : {}),
    },
    names: new Map([[ITEM.id, ["item"]]]),
  };
  const tables = [{ table: ITEM.table, id: ITEM.id, key: ["id"], names: ["item"] }];
  return (context) => captureOutbox({ settings, tables, marginMs: ITEM.marginMs }, context);
}

function swept(context: StreamContext): ChangeStream {
  const { table, id, key } = ITEM;
  const tables = [{ table, id, key, joinColumns: [], alone: true, everyMs: 50, recorded: false }];
  return sweepRows({ tables, settings: { dutyCycle: 0.5 }, aloneMs: 50, once: false }, context);
}
