import process from "node:process";

/** What the demo prints: plain lines, with colours on a terminal alone. */
export const page = {
  line(text = ""): void {
    process.stdout.write(`${text}\n`);
  },
  heading(text: string): void {
    page.line(`\n${paint(1, text)}`);
  },
  /** A command as it could be typed. */
  command(text: string): void {
    page.line(`\n${paint(36, "$")} ${paint(1, text)}`);
  },
  title(text: string): void {
    page.line(`  ${paint(1, text)}`);
  },
  detail(text: string): void {
    page.line(`  ${text}`);
  },
  faint(text: string): void {
    page.line(`  ${paint(2, text)}`);
  },
  good(text: string): void {
    page.line(`  ${paint(32, "✓")} ${text}`);
  },
  bad(text: string): void {
    page.line(`  ${paint(31, "✗")} ${text}`);
  },
  /** Cells in columns as wide as their widest; those after the first are right-aligned. */
  table(rows: readonly (readonly string[])[]): void {
    const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => width(row[at]))));
    for (const [number, row] of rows.entries()) {
      const cells = row.map((cell, at) => {
        const gap = " ".repeat((widths[at] ?? 0) - width(cell));
        return at === 0 ? cell + gap : gap + cell;
      });
      const text = cells.join("   ").trimEnd();
      page.line(`  ${number === 0 ? paint(2, text) : text}`);
    }
  },
};

function width(text = ""): number {
  return [...text].length;
}

function paint(code: number, text: string): string {
  const plain = process.stdout.isTTY !== true || (process.env["NO_COLOR"] ?? "") !== "";
  return plain ? text : `\x1b[${code}m${text}\x1b[0m`;
}
