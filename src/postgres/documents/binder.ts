/** Collects the values of a statement: each becomes the next numbered parameter, never SQL. */
export interface Binder {
  readonly values: readonly string[];
  /** `$3`, for a value bound as text; the caller casts it. */
  bind(value: string): string;
  /** A number that no other part of the statement uses, for aliases. */
  next(): number;
}

/** `reserved`: how many parameters come before, `$1` and on. */
export function createBinder(reserved: number): Binder {
  const values: string[] = [];
  let last = 0;
  return {
    values,
    bind(value) {
      values.push(value);
      return `$${reserved + values.length}`;
    },
    next: () => ++last,
  };
}
