import * as v from "valibot";
import type { IndexDescription, RejectionPolicy, SoftDelete } from "../core/description.ts";
import { fields } from "./fields.ts";
import { filters } from "./filters.ts";
import { say } from "./issue_text.ts";
import { jsonObject, keysOf } from "./json_value.ts";
import { column, columns, table } from "./names.ts";
import { text, word } from "./units.ts";

/** An index that doesn't know its name and the config's `onRejected` yet. */
export type IndexSection = Omit<IndexDescription, "name" | "onRejected"> & {
  readonly onRejected?: RejectionPolicy;
};

/** What to do with a rejected document. */
export const onRejected: v.GenericSchema<unknown, RejectionPolicy> = word(
  ["stop", "skip"],
  ["deadLetter"],
);

const softDelete: v.GenericSchema<unknown, SoftDelete> = v.pipe(
  v.strictObject({
    column: v.exactOptional(
      v.pipe(column, v.description("The row is gone when this is true or not null.")),
    ),
    when: v.exactOptional(
      v.pipe(filters, v.description("The row is gone when all of these hold.")),
    ),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    const given = keysOf(dataset.value);
    if ("column" in given !== "when" in given) return;
    addIssue({
      message: say("INVALID_VALUE", 'softDelete needs either "column" or "when"', "Keep one."),
    });
  }),
  v.description("Rows that count as deleted."),
  v.transform(({ column, when }): SoftDelete =>
    column === undefined ? { kind: "when", filters: when ?? [] } : { kind: "column", column }
  ),
);

/** One index (design 4.1), in the config or in a file of its own. */
export const INDEX: v.GenericSchema<unknown, IndexSection> = v.pipe(
  v.strictObject({
    $schema: v.exactOptional(
      v.pipe(text("the path of a JSON Schema"), v.description("For editors, in an index file.")),
    ),
    table: v.pipe(table, v.description("The table whose rows become the documents.")),
    key: v.exactOptional(
      v.pipe(columns, v.description("Columns that make the _id; default: the primary key.")),
    ),
    where: v.optional(
      v.pipe(filters, v.description("Only rows that match all of these become documents.")),
      [],
    ),
    softDelete: v.exactOptional(softDelete),
    fields,
    settings: v.exactOptional(
      v.pipe(jsonObject, v.description("Index settings, merged over what is derived.")),
    ),
    analysis: v.exactOptional(
      v.pipe(jsonObject, v.description("Analysis settings, merged over what is derived.")),
    ),
    mappings: v.exactOptional(
      v.pipe(jsonObject, v.description("Mappings, merged over what is derived.")),
    ),
    sinks: v.exactOptional(v.pipe(
      v.array(text("a sink's name")),
      v.nonEmpty(
        say("INVALID_VALUE", "An index without a sink goes nowhere", "Leave it out: all."),
      ),
      v.description("Names of the sinks it goes to; default: all."),
    )),
    onRejected: v.exactOptional(
      v.pipe(onRejected, v.description("Overrides the config's onRejected.")),
    ),
  }),
  v.transform(({ $schema: _, ...index }): IndexSection => index),
);

/** An index, or the path of the file that holds it: files are read before this is used. */
export const indexOrFile: v.GenericSchema<unknown, IndexSection> = v.lazy((input) =>
  input === undefined ? INDEX_OR_FILE : INDEX
);

/** What `indexOrFile` is for an editor. */
export const INDEX_OR_FILE: v.GenericSchema<unknown, IndexSection> = v.union([
  INDEX,
  v.pipe(
    text("a path, relative to the config file"),
    v.description("A file that holds the index, relative to the config file."),
    v.transform((): IndexSection => {
      throw new TypeError("Cannot use an index file: it wasn't read");
    }),
  ),
]);

/** The name of an index: what OpenSearch takes, with room for prefix, hash and generation. */
export const indexName: v.GenericSchema<string, string> = v.pipe(
  v.string(),
  v.check(
    (name) => /^[^A-Z\\/*?"<>| ,#:]+$/.test(name) && name === name.toLowerCase(),
    say(
      "INVALID_NAME",
      'An index name is lower-case and holds none of \\ / * ? " < > | , # : or a space',
      "Use letters, digits, - and _.",
    ),
  ),
  v.check(
    (name) => !/^[-_+.]/.test(name),
    say("INVALID_NAME", "An index name can't begin with -, _, + or a dot", "Rename it."),
  ),
  v.check(
    (name) => new TextEncoder().encode(name).length <= 200,
    say("INVALID_NAME", "An index name can't be longer than 200 bytes", "Shorten it."),
  ),
  v.check(
    (name) => name !== "driftless",
    say("INVALID_NAME", 'The name "driftless" is taken by the tool\'s own state', "Rename it."),
  ),
);
