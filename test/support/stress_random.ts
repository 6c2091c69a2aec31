/** A source of random numbers that a seed replays: the same seed and name, the same numbers. */
export interface Random {
  /** In [0, 1). */
  next(): number;
  /** An integer in [from, to]. */
  between(from: number, to: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
}

/** Independent numbers for each name under one seed. */
export function seededRandom(seed: number, name: string): Random {
  // FNV-1a over the name, then mulberry32.
  let state = 2166136261;
  for (const char of `${seed}/${name}`) {
    state = Math.imul(state ^ (char.codePointAt(0) ?? 0), 16777619) >>> 0;
  }
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  return {
    next,
    between: (from, to) => from + Math.floor(next() * (to - from + 1)),
    chance: (probability) => next() < probability,
  };
}
