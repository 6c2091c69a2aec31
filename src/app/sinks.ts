import type { Config, SinkConfig } from "../config/config.ts";
import type { Searchable, Sink } from "../core/ports.ts";
import { openSearchSink } from "../opensearch/sink.ts";
import { sqliteSink } from "../sqlite/sink.ts";
import { type LineWriter, stdoutSink } from "../stdout/sink.ts";

export type { LineWriter };

/** Opens the configured sinks; nothing connects before `connect`. */
export function openSinks(
  config: Config,
  stdout: LineWriter,
): readonly (Sink & Partial<Searchable>)[] {
  return config.sinks.map((sink) => openSink(sink, stdout));
}

function openSink(sink: SinkConfig, stdout: LineWriter): Sink & Partial<Searchable> {
  if (sink.type === "sqlite") return sqliteSink(sink);
  if (sink.type === "stdout") return stdoutSink({ ...sink, out: stdout });
  const { auth, ...rest } = sink;
  if (auth === undefined) return openSearchSink(rest);
  if (auth.kind === "basic") {
    return openSearchSink({ ...rest, auth: { ...auth, password: auth.password.reveal() } });
  }
  if (auth.kind === "apiKey") {
    return openSearchSink({ ...rest, auth: { kind: auth.kind, value: auth.value.reveal() } });
  }
  return openSearchSink({ ...rest, auth: { kind: auth.kind, token: auth.token.reveal() } });
}

/** For commands that write no documents. */
export const NO_OUTPUT: LineWriter = {
  write: () => Promise.reject(new Error("Cannot write documents: this command only reads")),
};
