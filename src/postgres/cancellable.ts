/** A statement of postgres.js, as far as cancelling it goes. */
export interface Cancellable {
  cancel(): void;
  readonly active?: boolean;
  readonly state?: unknown;
}

/**
 * Asks for the end of a statement that isn't sent yet or is running on the server; may be called
 * again while it runs. postgres.js 3.4.9 never settles a statement that was cancelled while it waited
 * for its turn there: such a one is left alone until its turn has come. Its own `cancel` works once, and
 * drops the promise of what it calls: a request that is reset or refused would end the process. So that
 * is called itself, which works as often as it is called.
 */
export function cancel(query: Cancellable): void {
  const { active, state } = query;
  if (active !== true && state !== undefined && state !== null) return;
  const known = cancellers.get(query);
  const own = query as { canceller?: unknown };
  if (known === undefined && typeof own.canceller === "function") {
    const canceller = own.canceller as Canceller;
    cancellers.set(query, canceller);
    own.canceller = null;
    ask(canceller, query);
  } else if (active === true && known !== undefined) ask(known, query);
}

/** Whether it arrived is seen by the statement alone. */
function ask(canceller: Canceller, query: Cancellable): void {
  Promise.resolve(canceller(query)).catch(() => {});
}

type Canceller = (query: Cancellable) => unknown;

const cancellers = new WeakMap<Cancellable, Canceller>();
