import type { Problem } from "../core/problem.ts";
import type { WalFacts } from "./wal/facts.ts";
import { SERVER_WIDE, serverRefusal } from "./wal/server_refusal.ts";
import { foreignText } from "./wal/slot_text.ts";

/** What is wrong with it as a whole, beside what was told of tables. */
export function walProblems(
  facts: WalFacts,
  used: boolean,
  told: readonly Problem[],
): readonly Problem[] {
  const { settings, server, wanted } = facts;
  if (settings === undefined || server === undefined) return [];
  const { slot } = server;
  const ours = slot !== undefined && foreignText(slot, server.database) === undefined;
  const refusal = serverRefusal(facts);
  const name = `Slot "${settings.slot}"`;
  if (refusal === undefined) {
    // One that is read now is another config's.
    if (used || !ours || slot.holder !== undefined) return [];
    const message =
      `${name} keeps WAL on the server's disk, more and more, and no table is followed by it`;
    return [walWarning("WAL_SLOT_UNUSED", message, `If it isn't needed any more: ${DROP}`)];
  }
  if (ours && !server.inRecovery) {
    const message =
      `${name} keeps WAL on the server's disk, more and more, and it can't be read: ` +
      refusal.state;
    const either = refusal.sql.length > 0 ? refusal.sql.join("\n") : refusal.hint;
    return [
      walWarning(refusal.code, message, `${either}\nOr, if it isn't needed any more: ${DROP}`),
    ];
  }
  // Not permitted: a note of `check`. Permitted, and in vain: to be mended.
  const said = told.some(({ code }) => code === refusal.code);
  if (said || wanted.size === 0 || !IN_VAIN.has(refusal.code)) return [];
  const message = `No table is followed by the write-ahead log: ${refusal.state}`;
  return [walWarning(refusal.code, message, refusal.hint)];
}

/** What keeps a whole server from it is one error, not one for each table. */
export function walToldOnce(problems: readonly Problem[]): readonly Problem[] {
  const idOf = ({ path }: Problem) => path.slice("source.tables.".length);
  const wide = problems.filter(({ code }) => SERVER_WIDE.has(code));
  const [first] = wide;
  if (first === undefined) return problems;
  const message = first.message.replace(idOf(first), () => wide.map(idOf).join(", "));
  return [
    { ...first, path: "source.wal", message },
    ...problems.filter((each) => !wide.includes(each)),
  ];
}

const DROP = "driftless wal drop --apply";
const IN_VAIN: ReadonlySet<string> = new Set(["WAL_NO_SLOT", "WAL_SLOT_TAKEN"]);

/** A warning about the section `source.wal`. */
export function walWarning(code: string, message: string, hint: string): Problem {
  return { severity: "warning", code, path: "source.wal", message, hint };
}
