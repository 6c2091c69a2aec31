import { FatalError } from "../../core/errors.ts";

export function standby(): FatalError {
  return new FatalError(
    "STANDBY",
    "Cannot track transactions on a standby: the primary's aren't visible there",
    'Point source.url to the primary; or let "capture" be "auto": it then follows with a lag.',
  );
}

export function behindPooler(): FatalError {
  return new FatalError(
    "POOLER_UNDECLARED",
    "Cannot poll: a connection pooler answers in place of Postgres",
    'Set "source": { "pooler": "transaction" }, or give source.url a direct connection.',
  );
}
