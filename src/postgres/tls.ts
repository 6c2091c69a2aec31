import type postgres from "postgres";

export interface TlsOptions {
  readonly mode: "disable" | "prefer" | "require" | "verify-ca" | "verify-full";
  /** PEM texts. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** As postgres.js takes it; undefined: what the URL says, else none. */
export function tlsOf(
  tls: TlsOptions | undefined,
): postgres.Options<Record<string, never>>["ssl"] {
  if (tls === undefined) return undefined;
  if (tls.mode === "disable") return false;
  const files = {
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
  };
  if (tls.mode === "prefer") return "prefer";
  if (tls.mode === "require") return { rejectUnauthorized: false, ...files };
  if (tls.mode === "verify-ca") return { checkServerIdentity: () => undefined, ...files };
  return files;
}
