/** The release; test/unit/version.test.ts holds it against the manifest. */
export const VERSION = "0.1.0";
