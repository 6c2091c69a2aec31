/** A statement of postgres.js, as far as cancelling it goes. */
export interface Cancellable {
  cancel(): void;
  readonly active?: boolean;
  readonly state?: unknown;
}

/**
 * Not sent yet, or running on the server. postgres.js 3.4.9 never settles a statement that was
 * cancelled while it waited for its turn there: such a one is cancelled when its turn has come.
 */
export function isCancellable({ active, state }: Cancellable): boolean {
  return active === true || state === undefined || state === null;
}
