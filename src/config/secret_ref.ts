import * as v from "valibot";
import { say } from "./issue_text.ts";
import { keysOf } from "./json_value.ts";
import { text } from "./units.ts";

/** Where a secret is found; resolved once, at load. */
export type SecretRef =
  | { readonly kind: "literal"; readonly value: string }
  | { readonly kind: "env"; readonly name: string }
  | { readonly kind: "file"; readonly path: string };

/** `{"env": "NAME"}`, `{"file": "path"}`, or the text itself. */
export const secret: v.GenericSchema<unknown, SecretRef> = v.lazy((input) => {
  if (input === undefined) return SECRET;
  if (typeof input !== "object" || input === null) return literal;
  if ("file" in keysOf(input)) return file;
  return env;
});

const literal = v.pipe(
  v.string(
    say("INVALID_VALUE", "Expected a text or a reference", 'Use {"env": "NAME"} or {"file": "…"}.'),
  ),
  v.nonEmpty(say("INVALID_VALUE", "This can't be empty", 'Use {"env": "NAME"}.')),
  v.transform((value): SecretRef => ({ kind: "literal", value })),
);
const env = v.pipe(
  v.strictObject({ env: text("the name of an environment variable") }),
  v.transform(({ env }): SecretRef => ({ kind: "env", name: env })),
);
const file = v.pipe(
  v.strictObject({ file: text("a path, relative to the config file") }),
  v.transform(({ file }): SecretRef => ({ kind: "file", path: file })),
);
/** What `secret` is for an editor. */
export const SECRET: v.GenericSchema<unknown, SecretRef> = v.union([env, file, literal]);
