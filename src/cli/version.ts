import manifest from "../../deno.json" with { type: "json" };

/** The release, as the manifest names it. */
export const VERSION: string = manifest.version;
