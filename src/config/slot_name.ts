/**
 * The slot of a config that names none: `driftless_` and the database's name, so that two databases
 * of one server have two. Where that can't be a slot's name, a digest tells it from what looks alike.
 * `url` is `source.url`, or what is left of it.
 */
export async function defaultSlot(url: string): Promise<string> {
  const database = databaseOf(url);
  const fitting = `driftless_${database.toLowerCase().replaceAll(/[^a-z0-9_]/g, "_")}`;
  if (fitting === `driftless_${database}` && fitting.length <= MAX_LENGTH) return fitting;
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(database));
  const digest = [...new Uint8Array(bytes).slice(0, 4)]
    .map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${fitting.slice(0, MAX_LENGTH - 9)}_${digest}`;
}

const MAX_LENGTH = 63;

/** As the server would have it: without a path the user's name. */
function databaseOf(url: string): string {
  // Of several hosts URL takes none.
  const parsed = URL.parse(url.replace(/^(\w+:\/\/(?:[^@/]*@)?[^,/]*),[^/]*/, "$1"));
  const name = (parsed?.pathname ?? "").slice(1) || (parsed?.username ?? "");
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
