import type { OpenSearchAuth, OpenSearchConfig, SinkConfig } from "./config.ts";
import type { ConfigPath } from "./config_path.ts";
import { BARE_PERCENT, decodeUser } from "./decode_user.ts";
import { type Environment, LITERAL_SECRET, type Resolver } from "./resolver.ts";
import { Secret } from "./secret.ts";
import type { AuthSection, OpenSearchSection, SinkSection } from "./sinks.ts";

/** `sinks` with their secrets resolved. What can't be is left out, with problems added. */
export async function resolveSinks(
  sections: Readonly<Record<string, SinkSection>>,
  resolver: Resolver,
): Promise<readonly SinkConfig[]> {
  const sinks: SinkConfig[] = [];
  for (const [name, section] of Object.entries(sections)) {
    const path = ["sinks", name];
    if (section.type === "opensearch") {
      const sink = await resolveOpenSearch(name, section, path, resolver);
      if (sink !== undefined) sinks.push(sink);
    } else if (section.type === "sqlite") {
      sinks.push({ type: "sqlite", name, path: resolver.fileOf(section.path) });
    } else {
      const statePath = resolver.fileOf(`driftless.${name}.state.json`);
      sinks.push({ type: "stdout", name, statePath });
    }
  }
  checkShared(sinks, resolver);
  return sinks;
}

/** What an absent `sinks` means: OpenSearch at OPENSEARCH_URL if that is set, else a sqlite file. */
export function defaultSinks(env: Environment): Readonly<Record<string, SinkSection>> {
  const url = env["OPENSEARCH_URL"];
  if (url === undefined || url === "") return { sqlite: { type: "sqlite", path: "driftless.db" } };
  return {
    opensearch: {
      type: "opensearch",
      nodes: [{ kind: "env", name: "OPENSEARCH_URL" }],
      indexPrefix: "",
      bulk: { maxBytes: 8 * 1024 * 1024, maxDocuments: 5000, writers: 2, gzip: false },
    },
  };
}

async function resolveOpenSearch(
  name: string,
  section: OpenSearchSection,
  path: ConfigPath,
  resolver: Resolver,
): Promise<OpenSearchConfig | undefined> {
  const nodes: string[] = [];
  let fromUrl: OpenSearchAuth | undefined;
  for (const [i, ref] of section.nodes.entries()) {
    const here = [...path, "nodes", i];
    const text = await resolver.text(ref, here);
    // One variable may name the whole cluster.
    for (const each of text?.split(",") ?? []) {
      const url = URL.parse(each.trim());
      if (url === null || url.protocol !== "http:" && url.protocol !== "https:") {
        resolver.add(here, {
          severity: "error",
          code: "INVALID_URL",
          message: "This is not an http or https URL",
          hint: "Like https://search.internal:9200.",
        });
        continue;
      }
      if (url.username !== "" || url.password !== "") {
        if (ref.kind === "literal" && url.password !== "") resolver.add(here, LITERAL_SECRET);
        const user = decodeUser(url);
        if (user === undefined) {
          resolver.add(here, BARE_PERCENT);
          continue;
        }
        const { username, password } = user;
        fromUrl = { kind: "basic", username, password: new Secret(password) };
        url.username = "";
        url.password = "";
      }
      nodes.push(url.href.replace(/\/$/, ""));
    }
  }
  const auth = await resolveAuth(section.auth, [...path, "auth"], resolver) ?? fromUrl;
  const caRef = section.tls?.ca;
  const ca = caRef === undefined ? undefined : await resolver.pem(caRef, [...path, "tls", "ca"]);
  if (nodes.length === 0) return undefined;
  return {
    type: "opensearch",
    name,
    nodes,
    ...(auth === undefined ? {} : { auth }),
    ...(ca === undefined ? {} : { ca }),
    indexPrefix: section.indexPrefix,
    bulk: section.bulk,
  };
}

async function resolveAuth(
  section: AuthSection | undefined,
  path: ConfigPath,
  resolver: Resolver,
): Promise<OpenSearchAuth | undefined> {
  if (section === undefined) return undefined;
  if (section.basic !== undefined) {
    const here = [...path, "basic"];
    const username = await resolver.text(section.basic.username, [...here, "username"]);
    const password = await resolver.secret(section.basic.password, [...here, "password"]);
    if (username === undefined || password === undefined) return undefined;
    return { kind: "basic", username, password: new Secret(password) };
  }
  if (section.apiKey !== undefined) {
    const value = await resolver.secret(section.apiKey, [...path, "apiKey"]);
    return value === undefined ? undefined : { kind: "apiKey", value: new Secret(value) };
  }
  if (section.bearer === undefined) return undefined;
  const token = await resolver.secret(section.bearer, [...path, "bearer"]);
  return token === undefined ? undefined : { kind: "bearer", token: new Secret(token) };
}

/** Two sinks that would write over each other. */
function checkShared(sinks: readonly SinkConfig[], resolver: Resolver): void {
  const seen = new Map<string, string>();
  for (const sink of sinks) {
    const place = sink.type === "opensearch"
      ? `${[...sink.nodes].sort().join(",")} with the prefix "${sink.indexPrefix}"`
      : sink.type === "sqlite"
      ? sink.path
      : "stdout";
    const other = seen.get(`${sink.type} ${place}`);
    if (other === undefined) {
      seen.set(`${sink.type} ${place}`, sink.name);
      continue;
    }
    resolver.add(["sinks", sink.name], {
      severity: "error",
      code: "INVALID_VALUE",
      message: `This writes to the same place as the sink "${other}": ${place}`,
      hint: "Remove one of them.",
    });
  }
}
