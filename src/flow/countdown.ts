/** Calls `all` when each of `count` acks was called, however often; at once when there are none. */
export function countdown(count: number, all: () => void): () => () => void {
  let open = count;
  if (open === 0) all();
  return () => {
    let acked = false;
    return () => {
      if (acked) return;
      acked = true;
      if (--open === 0) all();
    };
  };
}
