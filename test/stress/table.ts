import type { StressReport } from "./run.ts";

/** The report as people read it. */
export function tableOf(
  { scene, seed, seconds, writers, commits, captures }: StressReport,
): string {
  const width = Math.max(...captures.map(({ name }) => name.length));
  const lines = [
    `${scene}, SEED=${seed} SECONDS=${seconds}: ${writers.writers} writers, ${writers.transactions} transactions` +
    ` (${writers.rolledBack} rolled back, ${writers.prepared} prepared), ${commits} row versions`,
    [
      "".padEnd(8),
      "capture".padEnd(width),
      "commits",
      "   lost",
      "duplicates",
      "median",
      "    p99",
      "crashes",
    ].join(" "),
  ];
  for (const each of captures) {
    lines.push(
      [
        each.role.padEnd(8),
        each.name.padEnd(width),
        String(each.commits).padStart(7),
        String(each.lost).padStart(7),
        String(each.duplicates).padStart(10),
        ms(each.medianMs).padStart(6),
        ms(each.p99Ms).padStart(7),
        String(each.crashes).padStart(7),
        [...new Set([...each.failures, ...each.retries.map((code) => `retried ${code}`)])].slice(
          0,
          3,
        ).join("; "),
      ].join(" ").trimEnd(),
    );
  }
  return lines.join("\n");
}

function ms(value: number): string {
  return Number.isNaN(value) ? "-" : `${Math.round(value)} ms`;
}
