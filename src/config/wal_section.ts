import * as v from "valibot";
import { say } from "./issue_text.ts";
import { sizeOrOff } from "./units.ts";

/** `source.wal`. */
export interface WalSection {
  /** Undefined: named after the database (slot_name.ts). */
  readonly slot?: string;
  readonly publication: string;
  /** Bytes; 0: never. */
  readonly maxSlotLag: number;
}

/** What Postgres takes for a slot's name, and what needs no quotes as a publication's. */
const NAME = /^[a-z0-9_]{1,63}$/;
const NOT_A_NAME = say(
  "INVALID_VALUE",
  "Expected a name of small letters, digits and underscores, 63 at most",
  'Like "driftless" or "driftless_shop".',
);
const name = v.pipe(v.string(NOT_A_NAME), v.regex(NAME, NOT_A_NAME));

const walOn = v.strictObject({
  slot: v.exactOptional(
    v.pipe(
      name,
      v.description(
        "The replication slot that holds our position: one for each config. Default: driftless_ and " +
          "the database's name.",
      ),
    ),
  ),
  publication: v.optional(
    v.pipe(
      name,
      v.description("Which tables are sent; made, and added to, where the role may do that."),
    ),
    "driftless",
  ),
  maxSlotLag: v.optional(
    v.pipe(
      sizeOrOff,
      v.description(
        "The slot is dropped when more WAL than this is kept for it, so that the server's disk " +
          "doesn't run full; the indexes are filled anew then. false: never.",
      ),
    ),
    "10GB",
  ),
});
/** What `wal` is for an editor. */
export const WAL: v.GenericSchema<unknown, WalSection | undefined> = v.union([
  walOn,
  v.pipe(v.union([v.literal(false), v.literal(0)]), v.transform((): undefined => undefined)),
]);
/** `{"slot", "publication", "maxSlotLag"}`, or `false`: not used, permitted or not. */
export const wal: v.GenericSchema<unknown, WalSection | undefined> = v.lazy((input) =>
  input === undefined || input === false || input === 0 ? WAL : walOn
);
