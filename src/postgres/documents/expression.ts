/** What a piece of `sql` from the config is made of, as far as its tokens tell. */
export interface Expression {
  /** Why it can't stand in a statement; undefined when nothing speaks against it. */
  readonly refused: string | undefined;
  /** Names of columns it may mention, folded as Postgres folds them. */
  readonly words: ReadonlySet<string>;
  /** Names of functions it calls. */
  readonly calls: readonly string[];
  /** Functions whose value changes with time or chance though the row does not. */
  readonly unstable: readonly { readonly name: string; readonly kind: "time" | "volatile" }[];
}

/**
 * Reads an expression token by token, as the server's lexer would, so that nothing inside quotes is
 * taken for a keyword and nothing outside escapes its parentheses. It is a guard rail for the
 * author of a config, who may run any SQL anyway; it isn't a sandbox.
 */
export function readExpression(sql: string): Expression {
  const words = new Set<string>();
  const calls: string[] = [];
  const unstable: { name: string; kind: "time" | "volatile" }[] = [];
  let refused: string | undefined;
  let depth = 0;
  const refuse = (why: string) => refused ??= why;

  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(sql); match !== null; match = TOKEN.exec(sql)) {
    const token = match[0];
    const { word, quoted } = match.groups ?? {};
    if (quoted !== undefined) {
      const name = quoted.slice(1, -1).replaceAll('""', '"');
      words.add(name);
      if (/^\s*\(/.test(sql.slice(TOKEN.lastIndex))) calls.push(name);
    } else if (word !== undefined) {
      const name = word.toLowerCase();
      words.add(name);
      const isCall = /^\s*\(/.test(sql.slice(TOKEN.lastIndex));
      if (isCall && !SYNTAX.has(name)) calls.push(name);
      if (SUBQUERY.has(name) || name === "values" && isCall) {
        refuse(`it holds a sub-query ("${word}")`);
      }
      const kind = VOLATILE.has(name) && isCall
        ? "volatile"
        : TIME_CALLS.has(name) && isCall || TIME_WORDS.has(name)
        ? "time"
        : undefined;
      if (kind !== undefined) unstable.push({ name, kind });
    } else if (token === "(") depth++;
    else if (token === ")" && --depth < 0) refuse("its parentheses don't match");
    else if (token === ";") refuse("it holds a ;");
    else if (token === "--" || token === "/*") refuse("it holds a comment");
    else if (token === "'" || token === '"') refuse("a quote isn't closed");
    else if (token === "$") refuse("it holds a $ outside quotes");
  }
  if (depth > 0) refuse("its parentheses don't match");
  if (sql.trim() === "") refuse("it is empty");
  return { refused, words, calls, unstable };
}

/** Strings, quoted names and dollar quotes whole; then words, numbers, and single signs. */
const TOKEN =
  /(?<![\p{L}\p{N}_$])[eE]'(?:[^'\\]|\\[^]|'')*'|'(?:[^']|'')*'|(?<quoted>"(?:[^"]|"")*")|\$(?<tag>[\p{L}_]?[\p{L}\p{N}_]*)\$[^]*?\$\k<tag>\$|(?<word>[\p{L}_][\p{L}\p{N}_$]*)|\d[\p{L}\p{N}_.]*|--|\/\*|\s+|[^]/gu;

const SUBQUERY = new Set(["select", "table"]);
const SYNTAX = new Set([
  ...["and", "or", "not", "in", "any", "all", "some", "case", "when", "then", "else", "between"],
  ...["like", "ilike", "similar", "is", "array", "row", "cast", "from", "for", "using", "exists"],
]);
const TIME_WORDS = new Set([
  ...["current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"],
]);
const TIME_CALLS = new Set(["now", "transaction_timestamp", "statement_timestamp"]);
const VOLATILE = new Set([
  ...["clock_timestamp", "timeofday", "random", "random_normal", "gen_random_uuid", "setseed"],
  ...["uuid_generate_v1", "uuid_generate_v4", "uuidv4", "uuidv7", "nextval", "currval", "lastval"],
  ...["setval", "pg_sleep", "txid_current", "pg_current_xact_id", "set_config", "pg_notify"],
]);
