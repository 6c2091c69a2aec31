/**
 * Which triggers a table has to have. A statement's trigger fires for the table that the statement
 * names, with transition tables that hold the rows of all tables below it. So it sees everything
 * where a table stands alone. Where rows can come by another name (a partition's, a parent's, a
 * second parent's), each row's own trigger is the only one that can't be passed by.
 *
 * Updates always have each row's own trigger: most of them are of one row, and to pair the two
 * transition tables of one row costs twice as much as the rest of the trigger. A set of inserts or
 * deletes is logged as a set.
 */
import { quote } from "../client.ts";

/** A table and all below it: partitions or heirs. */
export interface TableShape {
  readonly oid: string;
  readonly partitioned: boolean;
  /** Rows of it can be written by a parent's name. */
  readonly hasParents: boolean;
  /** The table itself first. */
  readonly members: readonly Member[];
  /** Generated columns that hold nothing when a trigger looks. */
  readonly virtual: readonly string[];
  /** Of its columns, as oids. */
  readonly types: Readonly<Record<string, string>>;
}

export interface Member {
  readonly oid: string;
  /** Quoted, with its schema. */
  readonly name: string;
  readonly foreign: boolean;
  /** xmin of the pg_inherits rows between the table and this one. */
  readonly links: readonly string[];
}

/** A trigger that has to be there. */
export interface ExpectedTrigger {
  readonly member: Member;
  readonly name: string;
  readonly event: "insert" | "update" | "delete" | "truncate" | "row";
  /** Made by Postgres, of the one on the partitioned table: never by us. */
  readonly copy: boolean;
}

export function expectedTriggers(shape: TableShape): readonly ExpectedTrigger[] {
  const [root, ...below] = shape.members;
  if (root === undefined) return [];
  const make = (member: Member, event: ExpectedTrigger["event"], copy = false) => {
    // A partition's copy has the name of the table's: one of its own needs another.
    const plain = event === "row" && shape.partitioned
      ? !shape.hasParents
      : member === root && !shape.hasParents;
    return {
      member,
      event,
      copy,
      name: plain ? `driftless_${event}` : `driftless_${event}_${shape.oid}`,
    };
  };
  if (!byRow(shape)) {
    return STATEMENT_EVENTS.map((event) => make(root, event));
  }
  const rows = shape.partitioned
    ? [make(root, "row"), ...below.map((member) => make(member, "row", true))]
    : shape.members.map((member) => make(member, "row"));
  const truncates = shape.members.filter(({ foreign }) => !foreign)
    .map((member) => make(member, "truncate"));
  return [...rows, ...truncates];
}

/** Whether each row has to be looked at by itself. */
export function byRow({ partitioned, hasParents, members }: TableShape): boolean {
  return partitioned || hasParents || members.length > 1;
}

/** CREATE OR REPLACE TRIGGER; enables it again where somebody disabled it. */
export function triggerStatement(
  { member, name, event }: ExpectedTrigger,
  functionName: string,
): string {
  const when = {
    insert: "AFTER INSERT",
    update: "AFTER UPDATE",
    delete: "AFTER DELETE",
    truncate: "AFTER TRUNCATE",
    row: "AFTER INSERT OR UPDATE OR DELETE",
  }[event];
  const tables = {
    insert: ["REFERENCING NEW TABLE AS driftless_new"],
    update: [],
    delete: ["REFERENCING OLD TABLE AS driftless_old"],
    truncate: [],
    row: [],
  }[event];
  const lines = [
    `CREATE OR REPLACE TRIGGER ${quote(name)} ${when} ON ${member.name}`,
    ...tables.map((line) => `  ${line}`),
    `  FOR EACH ${
      event === "row" || event === "update" ? "ROW" : "STATEMENT"
    } EXECUTE FUNCTION ${functionName}()`,
  ];
  return lines.join("\n");
}

const STATEMENT_EVENTS = ["insert", "update", "delete", "truncate"] as const;
