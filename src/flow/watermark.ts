/** Tracks which of a sequence of things are done, and up to where all are. */
export interface Watermark<T> {
  /** Enters the next thing of the sequence; call the result when it is done. Idempotent. */
  enter(value: T): () => void;
  /** Enters something that is done. Those in a row are one entry, of the last value. */
  pass(value: T): void;
  /** The last value that has no undone one before it; undefined when there is none. */
  readonly reached: T | undefined;
  readonly pending: number;
}

/**
 * A watermark over contiguous acknowledgements: with 1 done, 2 open and 3 done it stands at 1.
 * `onAdvance` is called with each new value it reaches, in order, the last of a run only.
 */
export function watermark<T>(onAdvance: (value: T) => void = () => {}): Watermark<T> {
  interface Entry {
    value: T;
    done: boolean;
    readonly passed?: true;
  }
  let entries: Entry[] = [];
  let head = 0;
  let reached: T | undefined;

  function advance(): void {
    const before = head;
    let entry = entries[head];
    while (entry?.done === true) {
      reached = entry.value;
      entry = entries[++head];
    }
    if (head === before) return;
    if (head > 1024 && head * 2 > entries.length) {
      entries = entries.slice(head);
      head = 0;
    }
    onAdvance(reached as T);
  }

  return {
    enter(value: T): () => void {
      const entry: Entry = { value, done: false };
      entries.push(entry);
      return () => {
        if (entry.done) return;
        entry.done = true;
        advance();
      };
    },
    pass(value: T): void {
      const last = entries.at(-1);
      if (last?.passed === true && head < entries.length) {
        last.value = value;
        return;
      }
      entries.push({ value, done: true, passed: true });
      advance();
    },
    get reached(): T | undefined {
      return reached;
    },
    get pending(): number {
      return entries.length - head;
    },
  };
}
