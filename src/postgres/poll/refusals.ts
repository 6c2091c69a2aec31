import { FatalError } from "../../core/errors.ts";
import { sourceChanged } from "../identity.ts";

export function wentBack(stored: bigint, found: bigint): FatalError {
  return sourceChanged(
    `its next transaction id is ${found}, below ${stored}: it went back in time`,
  );
}

export function standby(): FatalError {
  return new FatalError(
    "STANDBY",
    "Cannot follow stamps on a standby: the primary's open transactions aren't visible there",
    "Point source.url to the primary; following a standby is not supported yet.",
  );
}

export function behindPooler(): FatalError {
  return new FatalError(
    "POOLER_UNDECLARED",
    "Cannot poll: a connection pooler answers in place of Postgres",
    'Set "source": { "pooler": "transaction" }, or give source.url a direct connection.',
  );
}
