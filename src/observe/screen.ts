/**
 * A terminal whose last lines are redrawn in place: log lines scroll above them. Writes nothing but
 * what it is told to, when it is told to.
 */
export interface Screen {
  /** A line that stays. */
  print(line: string): void;
  /** The lines at the bottom from now on; [] for none. */
  show(lines: readonly string[]): void;
}

export function createScreen(write: (text: string) => void): Screen {
  let shown: readonly string[] = [];
  // Up over the lines shown, then clear to the end of the screen.
  const erase = () => shown.length === 0 ? "" : `\x1b[${shown.length}A\x1b[0J`;
  const bottom = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join("");
  return {
    print(line: string): void {
      write(`${erase()}${line}\n${bottom(shown)}`);
    },
    show(lines: readonly string[]): void {
      if (lines.length === 0 && shown.length === 0) return;
      const text = `${erase()}${bottom(lines)}`;
      shown = lines;
      write(text);
    },
  };
}
