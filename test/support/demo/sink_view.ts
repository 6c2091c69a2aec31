/** A document as a reader of the sink gets it. */
export type ShownDocument = Readonly<Record<string, unknown>>;

/** Looks into a sink from outside, beside the tool that writes to it. */
export interface SinkView extends AsyncDisposable {
  /** What is stored, by `_id`, whether searches find it yet or not. */
  read(index: string, ids: readonly string[]): Promise<ReadonlyMap<string, ShownDocument>>;
  /** What a search for these words finds, by `_id`; 1,000 at most. */
  search(index: string, words: string): Promise<ReadonlyMap<string, ShownDocument>>;
}
