import type { OutboxSettings } from "../ways.ts";

/** What following by the outbox may honestly claim (design 3.1), as `TableLevel.claim`. */
export function outboxClaim(mode: OutboxSettings["mode"]): string {
  return CLAIMS[mode];
}

const ANY_WRITE = "every committed change that the application wrote a row of the outbox for, in " +
  "the same transaction, deletes included";
const GONE = "a row that is changed, or deleted before it was read, isn't seen";

const CLAIMS: Readonly<Record<OutboxSettings["mode"], string>> = {
  xid: `${ANY_WRITE}; exact; ${GONE}`,
  stamp: `${ANY_WRITE}, if the row is stamped not earlier than its transaction began, less the ` +
    `margin; ${GONE}`,
  mark: `${ANY_WRITE}; each row is marked when its document is durable`,
  delete: `${ANY_WRITE}; each row is deleted when its document is durable`,
};
