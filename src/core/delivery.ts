/** Says that the value is durable downstream. Idempotent; never throws. */
export type Ack = () => void;

/** All that flows between stages: a value, and how to say that it is durable. */
export interface Delivery<T> {
  readonly value: T;
  readonly ack: Ack;
  /** Nothing is right behind this one: a batch closes here instead of waiting for its timer. */
  readonly drained?: boolean;
}
