/** Where the record that will be inserted at `lsn` begins, less the page's header: what flushing reaches. */
export function endOfRecord(lsn: bigint): bigint {
  const inPage = lsn % 8192n;
  return inPage <= 40n ? lsn - inPage : lsn;
}
