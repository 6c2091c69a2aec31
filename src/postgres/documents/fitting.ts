import { FatalError, RetryableError } from "../../core/errors.ts";
import { blamesSchema } from "../errors.ts";

/** A statement that no longer fits the tables is a reason to plan again, not to end. */
export async function fitting<T>(result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    if (!(error instanceof FatalError) || !blamesSchema(error.code)) throw error;
    throw new RetryableError(
      "SCHEMA_CHANGED",
      `Cannot read documents as planned: the tables have changed (${error.code})`,
      { cause: error },
    );
  }
}
