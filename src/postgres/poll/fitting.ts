import { FatalError, RetryableError } from "../../core/errors.ts";
import { blamesSchema } from "../errors.ts";

/** A statement that no longer fits the tables is a reason to plan again, not to end. */
export async function* fitting<T, R>(changes: AsyncGenerator<T, R>): AsyncGenerator<T, R> {
  try {
    return yield* changes;
  } catch (error) {
    if (!(error instanceof FatalError) || !blamesSchema(error.code)) throw error;
    throw new RetryableError("SCHEMA_CHANGED", error.message, { cause: error });
  }
}
