/** A statement of postgres.js, as far as cancelling it goes. */
export interface Cancellable {
  cancel(): void;
  readonly active?: boolean;
  readonly state?: unknown;
}

/**
 * Asks for the end of a statement that isn't sent yet or is running on the server; may be called
 * again while it runs. postgres.js 3.4.9 never settles a statement that was cancelled while it waited
 * for its turn there: such a one is left alone until its turn has come. Its `cancel` works once; what
 * that calls works as often as it is called.
 */
export function cancel(query: Cancellable): void {
  const { active, state } = query;
  if (active !== true && state !== undefined && state !== null) return;
  const known = cancellers.get(query);
  const { canceller } = query as { readonly canceller?: unknown };
  if (known === undefined && typeof canceller === "function") {
    cancellers.set(query, canceller as Canceller);
    query.cancel();
  } else if (active === true && known !== undefined) {
    Promise.resolve(known(query)).catch(() => {});
  }
}

type Canceller = (query: Cancellable) => unknown;

const cancellers = new WeakMap<Cancellable, Canceller>();
