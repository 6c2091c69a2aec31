import type { PgOutputMessage, Tuple } from "../../../src/postgres/wal/pgoutput.ts";

/**
 * What messages say, one line each, without what differs from run to run: oids of the scenario's tables
 * and types become r1, r2… and t1, t2… as they appear; positions, xids and times are left out.
 */
export function linesOf(messages: readonly PgOutputMessage[]): readonly string[] {
  const relations = numbered("r");
  const types = numbered("t");
  return messages.map((message) => {
    switch (message.kind) {
      case "begin":
      case "commit":
        return message.kind;
      case "origin":
        return `  origin ${message.name} ${message.commit.toString(16)}`;
      case "type":
        return `  type ${types(message.oid)} ${message.schema}.${message.name}`;
      case "relation": {
        const { oid, schema, name, identity, columns } = message.relation;
        const told = columns.map((column) =>
          `${JSON.stringify(column.name)} ${
            column.type < 16384 ? column.type : types(column.type)
          }` +
          `${column.modifier === -1 ? "" : `:${column.modifier}`}${column.inIdentity ? " in" : ""}`
        );
        return `  relation ${relations(oid)} ${schema} | ${name} | ${identity}: ${told.join(", ")}`;
      }
      case "insert":
        return `  insert ${relations(message.oid)} ${row(message.after)}`;
      case "update": {
        const { oid, old, after } = message;
        const before = old === undefined ? "" : `${old.full ? "full" : "key"} ${row(old.values)} `;
        return `  update ${relations(oid)} ${before}to ${row(after)}`;
      }
      case "delete": {
        const { oid, old } = message;
        return `  delete ${relations(oid)} ${old.full ? "full" : "key"} ${row(old.values)}`;
      }
      case "truncate": {
        const { oids, cascade, restartIdentity } = message;
        return `  truncate ${oids.map(relations).join(" ")}${cascade ? " cascade" : ""}` +
          `${restartIdentity ? " restart identity" : ""}`;
      }
      case "message":
        return `${message.transactional ? "  " : ""}message ${JSON.stringify(message.prefix)} ` +
          `${[...message.content].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    }
  });
}

function numbered(prefix: string): (oid: number) => string {
  const known = new Map<number, string>();
  return (oid) => {
    const name = known.get(oid) ?? `${prefix}${known.size + 1}`;
    known.set(oid, name);
    return name;
  };
}

function row(tuple: Tuple): string {
  return `(${
    Array.from(tuple, (value) => {
      if (value === undefined) return "unchanged";
      if (value === null) return "NULL";
      const text = new TextDecoder("utf-8", { fatal: true }).decode(value);
      return text.length > 80
        ? `${JSON.stringify(text.slice(0, 4))} and ${text.length - 4} more`
        : JSON.stringify(text);
    }).join(", ")
  })`;
}
