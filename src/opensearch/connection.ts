import { Connection } from "@opensearch-project/opensearch";

type Parameters = Parameter<Connection["request"]>;
type Parameter<F> = F extends (...args: infer A) => unknown ? A : never;

/**
 * The client library's connection with two repairs. It keeps the socket's error code, which the
 * library drops although a refused certificate can't be told from a refused connection without it;
 * and it silences the library's `console.log` about errors after a response, which would end up
 * between the lines of a sink that writes to stdout.
 */
export class CodedConnection extends Connection {
  override request(...[params, callback]: Parameters): ReturnType<Connection["request"]> {
    let code: unknown;
    const request = super.request(params, (error, response) => {
      if (error !== null && code !== undefined) Object.assign(error, { code });
      callback(error, response);
    });
    request.prependListener("error", (error: NodeJS.ErrnoException) => {
      code ??= codeOf(error);
    });
    let known: readonly unknown[] = [];
    request.prependListener("response", () => {
      known = request.listeners("error");
    });
    request.on("response", () => {
      for (const listener of request.listeners("error")) {
        if (!known.includes(listener)) request.off("error", listener as () => void);
      }
    });
    return request;
  }
}

/** Deno and Bun raise a refused socket as an AggregateError around the coded ones. */
function codeOf(error: NodeJS.ErrnoException): string | undefined {
  if (error.code !== undefined) return error.code;
  const inner: unknown = error instanceof AggregateError ? error.errors[0] : error.cause;
  return inner instanceof Error ? codeOf(inner) : undefined;
}
