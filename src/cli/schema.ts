import { configJsonSchema } from "../config/json_schema.ts";
import { type Command, EXIT } from "./command.ts";

/** Prints the config's JSON Schema. */
export const schema: Command = {
  definition: {
    meta: { name: "schema", description: "Print the JSON Schema of the config, for editors" },
    args: {},
  },
  args: {},
  examples: ["driftless schema > driftless.schema.json"],
  async run(_flags, { stdout, signal }) {
    await stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`, signal);
    return EXIT.done;
  },
};
