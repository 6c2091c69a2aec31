/**
 * Where a poller and a transaction meet at a moment that chance would seldom give them. A writer says
 * what it is about to do and waits a while for a poller that leads; a poller that comes by holds still
 * until it is done. Neither does what it couldn't do by itself, it is only slow at the right time.
 *
 * "ending": a listing catches a transaction while it lets go of its locks. Postgres reads virtualxids
 * first and xids later, and a transaction that ends drops its xids one after the other, so a listing
 * may show its virtualxid beside a savepoint's xid alone. The poller, having listed the transaction,
 * waits until it has ended and then takes the row as such a listing would have shown it; all else is
 * as it was read, as by a statement that takes long to return.
 * "preparing": PREPARE TRANSACTION between the two statements of B.
 */
export type Moment = "ending" | "preparing";

export interface Meetings {
  /** The writer's side: `met` resolves when a poller that leads holds still; `over` lets all go on. */
  announce(
    moment: Moment,
    virtualxid: string,
    savepoint: string,
  ): { readonly met: Promise<void>; over(): void };
  /** The poller's side: resolves with the savepoint's xid when it is over; undefined: nothing is announced. */
  hold(moment: Moment, virtualxid: string, leads: boolean): Promise<string> | undefined;
  /** The transaction of that moment, while there is one. */
  announced(moment: Moment): string | undefined;
}

export function openMeetings(): Meetings {
  const open = new Map<Moment, Meeting>();
  return {
    announce(moment, virtualxid, savepoint) {
      const met = Promise.withResolvers<void>();
      const over = Promise.withResolvers<string>();
      open.set(moment, { virtualxid, met: met.resolve, over: over.promise });
      return {
        met: met.promise,
        over() {
          open.delete(moment);
          over.resolve(savepoint);
        },
      };
    },
    hold(moment, virtualxid, leads) {
      const meeting = open.get(moment);
      if (meeting === undefined || meeting.virtualxid !== virtualxid) return undefined;
      if (leads) meeting.met();
      return meeting.over;
    },
    announced: (moment) => open.get(moment)?.virtualxid,
  };
}

interface Meeting {
  readonly virtualxid: string;
  met(): void;
  readonly over: Promise<string>;
}
