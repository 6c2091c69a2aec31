import { FatalError } from "../core/errors.ts";

/** What `--admin-url` gives. Throws FatalError USAGE when it's no URL; never shows it. */
export function checkedAdminUrl(text: string): string {
  if (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text)) return text;
  throw new FatalError(
    "USAGE",
    "Cannot read --admin-url: it is no URL of Postgres",
    "Write it as postgres://user:password@host:5432/database.",
  );
}
