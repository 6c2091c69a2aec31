import type { WalSettings } from "../ways.ts";

/** What a server says of following its WAL; read by `loadWal` (load_facts.ts). */
export interface WalFacts {
  /** Undefined: source.wal is off. */
  readonly settings: WalSettings | undefined;
  /** Undefined: it is off. */
  readonly server: WalServer | undefined;
  /** Whom a GRANT or ALTER ROLE would name. */
  readonly role: string;
  /** Tables, by `tableId`, that the config lets the WAL follow: what an owner is asked to publish. */
  readonly wanted: ReadonlySet<string>;
}

export interface WalServer {
  /** `server_version_num`. */
  readonly version: number;
  /** `current_database()`. */
  readonly database: string;
  readonly inRecovery: boolean;
  /** Behind a pooler no session can replicate. */
  readonly pooled: boolean;
  /** `wal_level`. */
  readonly walLevel: string;
  /** `synchronous_standby_names`. */
  readonly standbyNames: string;
  /** The role may use replication: REPLICATION, superuser, or a member of a provider's role that may. */
  readonly mayReplicate: boolean;
  readonly slots: { readonly used: number; readonly max: number };
  /** Slots that nobody reads, other than ours: what could make room. */
  readonly idleSlots: readonly string[];
  /** Of `WalSettings.slot`; undefined: there is none. */
  readonly slot: SlotState | undefined;
  /** Of `WalSettings.publication`; undefined: there is none. */
  readonly publication: PublicationState | undefined;
  /** The role may create a publication in this database. */
  readonly mayCreate: boolean;
  /** By `tableId`, of the tables asked for that are there. */
  readonly tables: ReadonlyMap<string, WalTableFacts>;
}

/** A row of pg_replication_slots. */
export interface SlotState {
  readonly name: string;
  /** "pgoutput" of a logical slot that we can read; else another plugin's name, or "physical". */
  readonly plugin: string;
  readonly database: string | undefined;
  readonly temporary: boolean;
  /** Who reads it now: pid, application name and address; undefined: nobody. */
  readonly holder: SlotHolder | undefined;
  /** `reserved`, `extended`, `unreserved` or `lost`. */
  readonly walStatus: string;
  /** Why it was invalidated (16 and newer), or that its WAL was removed; undefined: it can be read. */
  readonly invalid: string | undefined;
  /** WAL positions in bytes. What is confirmed is never sent again. */
  readonly confirmed: bigint;
  /** The WAL is kept from here on; undefined once it is lost. */
  readonly restart: bigint | undefined;
  /** Bytes of WAL kept for it. */
  readonly retained: bigint;
  /** Bytes that can be written before it may be lost; undefined: no limit (`max_slot_wal_keep_size`). */
  readonly safe: bigint | undefined;
}

export interface SlotHolder {
  readonly pid: number;
  readonly application: string;
  readonly address: string;
}

export interface PublicationState {
  readonly name: string;
  /** The role may alter it. */
  readonly owned: boolean;
  readonly allTables: boolean;
  /** Of insert, update, delete, truncate: those it doesn't publish. */
  readonly omits: readonly string[];
  readonly viaRoot: boolean;
}

export interface WalTableFacts {
  /** The role is (a member of) its owner: it may be put into a publication by it. */
  readonly owned: boolean;
  /**
   * What publishes it, in a form that becomes another one when that is ended and begun again (oids of the
   * publication and of its entry for the table, schema or root, and the publication's row version);
   * undefined: the publication doesn't have it, or not all its partitions' changes come under it.
   */
  readonly published: string | undefined;
  /** Published with a row filter: rows outside it are never sent. */
  readonly filtered: boolean;
  /** Columns that are sent, where the publication lists some; undefined: all. */
  readonly columns: readonly string[] | undefined;
  /** `relreplident` as a word, of the table and all its partitions: the weakest. */
  readonly identity: "default" | "full" | "index" | "nothing";
  /** Columns of the identity, common to it and all its partitions; [] when there is none. Of full: all. */
  readonly identityColumns: readonly string[];
  /** Why its changes aren't in the WAL or not under its name: a view, foreign, unlogged, inherited; undefined: they are. */
  readonly unfit: string | undefined;
  /** Generated columns that aren't sent. */
  readonly generated: readonly string[];
}
