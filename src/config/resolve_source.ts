import { tableId } from "../core/table.ts";
import type { OutboxSection } from "./capture_sections.ts";
import type { OutboxConfig, SourceConfig, TableConfig, TlsConfig } from "./config.ts";
import type { ConfigPath } from "./config_path.ts";
import { BARE_PERCENT, decodeUser } from "./decode_user.ts";
import { LITERAL_SECRET, type Resolver } from "./resolver.ts";
import { Secret } from "./secret.ts";
import { defaultSlot } from "./slot_name.ts";
import type { SecretRef } from "./secret_ref.ts";
import type { SourceSection, TlsMode, TlsSection } from "./source.ts";

/**
 * `source` with its secrets resolved and what its URL says about TLS taken out of it; undefined,
 * with problems added, when it can't be.
 */
export async function resolveSource(
  section: SourceSection,
  resolver: Resolver,
): Promise<SourceConfig | undefined> {
  const { poll } = section;
  const tables = tablesOf(section, resolver);
  const ref: SecretRef = section.url ?? { kind: "env", name: "DATABASE_URL" };
  const path = ["source", "url"];
  const text = await resolver.text(ref, path);
  if (text === undefined) {
    await tlsOf(section.tls, undefined, resolver);
    return undefined;
  }
  const parts = splitUrl(text, path, resolver);
  if (ref.kind === "literal" && parts?.hasPassword) resolver.add(path, LITERAL_SECRET);
  const tls = await tlsOf(section.tls, parts, resolver);
  if (parts === undefined) return undefined;
  return {
    url: new Secret(parts.url),
    ...(tls === undefined ? {} : { tls }),
    capture: section.capture,
    pooler: section.pooler,
    rowSecurity: section.rowSecurity,
    poll: {
      minIntervalMs: poll.minInterval,
      maxIntervalMs: poll.maxInterval,
      marginMs: poll.margin ?? 2000,
      marginGiven: poll.margin !== undefined,
      lagMs: poll.lag,
      pageSize: poll.pageSize,
    },
    ...capturesOf(section),
    ...(section.wal === undefined
      ? {}
      : { wal: { slot: await defaultSlot(parts.url), ...section.wal } }),
    tables,
  };
}

/** Beside the poll: where changes are looked for. */
function capturesOf(
  { sweeps, changelog, outbox }: SourceSection,
): Pick<SourceConfig, "sweeps" | "changelog" | "outbox"> {
  return {
    sweeps: {
      keysMs: sweeps.keys === 0 ? undefined : sweeps.keys,
      rowsMs: sweeps.rows === 0 ? undefined : sweeps.rows,
      dutyCycle: sweeps.dutyCycle,
      massDeletes: sweeps.massDeletes,
    },
    ...(changelog === undefined ? {} : {
      changelog: {
        schema: changelog.schema,
        consumer: changelog.consumer,
        retentionMs: changelog.retention,
      },
    }),
    ...(outbox === undefined ? {} : {
      outbox: {
        table: outbox.table,
        mode: outboxMode(outbox),
        columns: outbox.columns,
        names: outbox.tables,
      },
    }),
  };
}

function outboxMode({ mode, columns, delete: deletes }: OutboxSection): OutboxConfig["mode"] {
  if (mode === "claim") return deletes ? "delete" : "mark";
  return columns.xid === undefined ? "stamp" : "xid";
}

function tablesOf(section: SourceSection, resolver: Resolver): SourceConfig["tables"] {
  const tables = new Map<string, TableConfig>();
  for (const entry of section.tables) {
    const id = tableId(entry.table);
    if (tables.has(id)) {
      resolver.add(["source", "tables"], {
        severity: "error",
        code: "DUPLICATE_KEY",
        message: `Two keys name the table ${id}`,
        hint: "An unqualified name is in the schema public. Keep one.",
      });
    }
    tables.set(id, entry);
  }
  return tables;
}

/** A connection URL in its parts, without what only says how to use TLS. */
interface UrlParts {
  readonly url: string;
  readonly hasPassword: boolean;
  readonly mode?: TlsMode;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

function splitUrl(text: string, path: ConfigPath, resolver: Resolver): UrlParts | undefined {
  const fail = (message: string, hint: string) => {
    resolver.add(path, { severity: "error", code: "INVALID_URL", message, hint });
    return undefined;
  };
  if (!/^postgres(ql)?:\/\//.test(text)) {
    return fail("This is not a Postgres URL", "Like postgres://user:password@host:5432/database.");
  }
  const [address = "", query = ""] = text.split(/\?(.*)/s, 2);
  // Several hosts are fine for the client, not for URL.
  const parsed = URL.parse(address.replace(/^(\w+:\/\/(?:[^@/]*@)?[^,/]*),[^/]*/, "$1"));
  if (parsed === null) {
    return fail(
      "This is not a valid URL",
      "Write special characters of the user and the password as %40 (@), %2F (/), %3A (:), %23 (#).",
    );
  }
  if (decodeUser(parsed) === undefined) {
    resolver.add(path, BARE_PERCENT);
    return undefined;
  }
  if (parsed.hash !== "") {
    return fail("The URL holds a bare #", "Write # in a password as %23.");
  }
  const params = new URLSearchParams(query);
  const take = (name: string) => {
    const value = params.get(name) ?? undefined;
    params.delete(name);
    return value;
  };
  const hasPassword = parsed.password !== "" || params.has("password");
  const ssl = take("ssl");
  const sslmode = take("sslmode") ?? (ssl === "true" || ssl === "1" ? "require" : undefined);
  const known = sslmode !== undefined && Object.hasOwn(SSL_MODES, sslmode);
  const mode = known ? SSL_MODES[sslmode] : undefined;
  if (sslmode !== undefined && mode === undefined) {
    return fail(
      `The URL's sslmode is not one of ${Object.keys(SSL_MODES).join(", ")}`,
      "Correct it, or use source.tls.mode.",
    );
  }
  const ca = take("sslrootcert");
  const cert = take("sslcert");
  const key = take("sslkey");
  // For libpq and ORMs; a server refuses them as unknown settings.
  for (const name of IGNORED_PARAMETERS) params.delete(name);
  const rest = params.toString();
  return {
    url: rest === "" ? address : `${address}?${rest}`,
    hasPassword,
    ...(mode === undefined ? {} : { mode }),
    ...(ca === undefined || ca === "system" ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

async function tlsOf(
  section: TlsSection | undefined,
  url: UrlParts | undefined,
  resolver: Resolver,
): Promise<TlsConfig | undefined> {
  const path = ["source", "tls"];
  if (section?.mode !== undefined && url?.mode !== undefined && section.mode !== url.mode) {
    resolver.add([...path, "mode"], {
      severity: "error",
      code: "INVALID_VALUE",
      message: `source.tls.mode is ${section.mode}, the URL's sslmode says ${url.mode}`,
      hint: "Keep one of them.",
    });
  }
  const pem = async (name: "ca" | "cert" | "key") => {
    const ref = section?.[name];
    if (ref !== undefined) return await resolver.pem(ref, [...path, name]);
    const file = url?.[name];
    return file === undefined
      ? undefined
      : await resolver.pem({ kind: "file", path: file }, ["source", "url"]);
  };
  const ca = await pem("ca");
  const cert = await pem("cert");
  const key = await pem("key");
  const mode = section?.mode ?? url?.mode;
  const any = section !== undefined || mode !== undefined || ca !== undefined || cert !== undefined;
  if (!any) return undefined;
  return {
    mode: mode ?? "verify-full",
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

const SSL_MODES: Readonly<Record<string, TlsMode>> = {
  "disable": "disable",
  "allow": "prefer",
  "prefer": "prefer",
  "require": "require",
  "verify-ca": "verify-ca",
  "verify-full": "verify-full",
};
const IGNORED_PARAMETERS = [
  "channel_binding",
  "gssencmode",
  "krbsrvname",
  "sslcompression",
  "sslcrl",
  "sslnegotiation",
  "sslsni",
  "pgbouncer",
  "connection_limit",
  "pool_timeout",
];
