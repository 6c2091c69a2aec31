import type { Fingerprint } from "./canonical.ts";

/** A set of fingerprints with a number each, in flat arrays: millions of states in little memory. */
export class StateSet {
  size = 0;
  #mask = 2 ** 14 - 1;
  #high = new Uint32Array(2 ** 14);
  #low = new Uint32Array(2 ** 14);
  #values = new Float64Array(2 ** 14);

  has(print: Fingerprint): boolean {
    return this.#high[this.#find(print)] !== 0;
  }

  /** Whether it wasn't there. */
  add(print: Fingerprint): boolean {
    if (this.size * 4 > this.#mask * 3) this.#grow();
    const at = this.#find(print);
    if (this.#high[at] !== 0) return false;
    this.#low[at] = print.low;
    this.#high[at] = print.high | 1;
    this.size++;
    return true;
  }

  value(print: Fingerprint): number {
    return this.#values[this.#find(print)] ?? 0;
  }

  /** Sets the number of a fingerprint that was added. */
  set(print: Fingerprint, value: number): void {
    this.#values[this.#find(print)] = value;
  }

  #find(print: Fingerprint): number {
    const high = (print.high | 1) >>> 0;
    let at = print.low & this.#mask;
    while (this.#high[at] !== 0) {
      if (this.#low[at] === print.low && this.#high[at] === high) return at;
      at = (at + 1) & this.#mask;
    }
    return at;
  }

  #grow(): void {
    const [high, low, values] = [this.#high, this.#low, this.#values] as const;
    const slots = (this.#mask + 1) * 2;
    this.#mask = slots - 1;
    this.#high = new Uint32Array(slots);
    this.#low = new Uint32Array(slots);
    this.#values = new Float64Array(slots);
    for (let i = 0; i < high.length; i++) {
      if (high[i] === 0) continue;
      const at = this.#find({ high: high[i] ?? 0, low: low[i] ?? 0 });
      this.#high[at] = high[i] ?? 0;
      this.#low[at] = low[i] ?? 0;
      this.#values[at] = values[i] ?? 0;
    }
  }
}
