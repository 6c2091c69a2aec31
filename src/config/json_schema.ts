import { toJsonSchema } from "@valibot/to-json-schema";
import type { JsonObject } from "../core/json.ts";
import { CHANGELOG, OUTBOX, SWEEPS } from "./capture_sections.ts";
import { FIELD, fields } from "./fields.ts";
import { FILTER } from "./filters.ts";
import { INDEX, INDEX_OR_FILE } from "./index_section.ts";
import { COLUMNS, TABLE } from "./names.ts";
import { SCALAR_FIELD, TRANSFORM } from "./scalars.ts";
import { configSchema } from "./schema.ts";
import { SECRET } from "./secret_ref.ts";
import { SINK } from "./sinks.ts";
import { DURATION, DURATION_OR_OFF, SIZE, SIZE_OR_OFF } from "./units.ts";
import { WAL } from "./wal_section.ts";

/** The JSON Schema of a config file, for editors. */
export function configJsonSchema(): JsonObject {
  const schema = toJsonSchema(configSchema, {
    typeMode: "input",
    // Checks that JSON Schema has no words for are the loader's.
    errorMode: "ignore",
    definitions: {
      changelog: CHANGELOG,
      column: COLUMNS,
      duration: DURATION,
      durationOrOff: DURATION_OR_OFF,
      field: FIELD,
      fields,
      filter: FILTER,
      index: INDEX_OR_FILE,
      // An index file names it: "$schema": "./driftless.schema.json#/$defs/indexFile".
      indexFile: INDEX,
      outbox: OUTBOX,
      scalar: SCALAR_FIELD,
      secret: SECRET,
      sink: SINK,
      size: SIZE,
      sizeOrOff: SIZE_OR_OFF,
      sweeps: SWEEPS,
      table: TABLE,
      transform: TRANSFORM,
      wal: WAL,
    },
  });
  // A copy: the converter's result shares parts with the schemas, and `undefined` isn't JSON.
  return JSON.parse(JSON.stringify({ ...schema, title: "driftless config" })) as JsonObject;
}
