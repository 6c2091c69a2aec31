/** One thing that an index as it stands has otherwise than its plan asks for. */
export interface IndexDifference {
  readonly part: "mapping" | "settings";
  /** A field's dotted path or a setting's full name; "": the mapping as a whole. */
  readonly path: string;
  /** What it is and what is asked for: `type: "keyword" → "long"`. */
  readonly change: string;
  /** The server would take it in the index that is there; else only another index can have it. */
  readonly additive: boolean;
}

/** How a sink's index stands to its plan before a run has touched it. */
export interface IndexReport {
  /**
   * What a run does with it. "made": there is none. "kept": it goes on with it. "replaced": another
   * one is filled beside it, and takes its place when it is full.
   */
  readonly fate: "made" | "kept" | "replaced";
  /** The index that was looked at: what searches see, or what is being filled; absent: none. */
  readonly physical?: string;
  /** Searches see it. */
  readonly served: boolean;
  /**
   * Every one; of an index that is kept what was changed by hand. Absent: the sink can't tell, only
   * that the plan isn't the one that it was filled by.
   */
  readonly differences?: readonly IndexDifference[];
}
