import * as v from "valibot";
import type { CompareOperator, Filter, OrderBy } from "../core/description.ts";
import { say } from "./issue_text.ts";
import { column } from "./names.ts";
import { text, word } from "./units.ts";

/** A filter: `{"column", "op", "value" | "values"}`, `{"any": […]}`, `{"all": […]}`, `{"sql"}`. */
export const filter: v.GenericSchema<unknown, Filter> = v.lazy((input) => {
  if (typeof input !== "object" || input === null) return input === undefined ? FILTER : compare;
  if ("any" in input) return any;
  if ("all" in input) return all;
  return "sql" in input ? sql : compare;
});

/** A list of filters that must all hold. */
export const filters: v.GenericSchema<unknown, readonly Filter[]> = v.array(filter);

/** `[{"column", "direction", "nulls"}]`. */
export const orderBy: v.GenericSchema<unknown, readonly OrderBy[]> = v.array(v.strictObject({
  column,
  direction: v.optional(word(["asc", "desc"]), "asc"),
  nulls: v.optional(word(["first", "last"]), "last"),
}));

const OPERATORS: readonly CompareOperator[] = [
  "eq",
  "neq",
  "lt",
  "lte",
  "gt",
  "gte",
  "like",
  "ilike",
  "in",
  "notIn",
  "between",
  "isNull",
  "isNotNull",
];
const scalar = v.union(
  [v.string(), v.number(), v.boolean()],
  (issue) =>
    issue.input === null
      ? say("INVALID_VALUE", "null can't be compared", 'Use the op "isNull" or "isNotNull".')
      : say(
        "INVALID_VALUE",
        "Expected a text, a number, true or false",
        'Several values are "values": [ … ].',
      ),
);

const compare = v.pipe(
  v.strictObject({
    column,
    op: word(OPERATORS),
    value: v.exactOptional(scalar),
    values: v.exactOptional(v.array(scalar)),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const { op, value, values } = dataset.value;
    const wanted = OPERANDS[op];
    const fits = {
      none: value === undefined && values === undefined,
      one: value !== undefined && values === undefined,
      two: value === undefined && values?.length === 2,
      list: value === undefined && values !== undefined && values.length > 0,
    };
    if (fits[wanted]) return;
    const message = `The op "${op}" takes another operand`;
    addIssue({ message: say("INVALID_VALUE", message, `Give it ${OPERAND_TEXT[wanted]}.`) });
  }),
  v.transform(({ column, op, value, values }): Filter => ({
    kind: "compare",
    column,
    op,
    values: values ?? (value === undefined ? [] : [value]),
  })),
);

const group = v.pipe(
  v.array(filter),
  v.nonEmpty(say("INVALID_VALUE", "A group needs at least one filter", "Remove it or fill it.")),
);
const any = v.pipe(
  v.strictObject({ any: group }),
  v.transform(({ any }): Filter => ({ kind: "any", filters: any })),
);
const all = v.pipe(
  v.strictObject({ all: group }),
  v.transform(({ all }): Filter => ({ kind: "all", filters: all })),
);
const sql = v.pipe(
  v.strictObject({ sql: text("an SQL condition on the row's own columns") }),
  v.transform(({ sql }): Filter => ({ kind: "sql", sql })),
);
/** What `filter` is for an editor. */
export const FILTER: v.GenericSchema<unknown, Filter> = v.union([compare, any, all, sql]);

type Operands = "none" | "one" | "two" | "list";
const OPERANDS: Readonly<Record<CompareOperator, Operands>> = {
  eq: "one",
  neq: "one",
  lt: "one",
  lte: "one",
  gt: "one",
  gte: "one",
  like: "one",
  ilike: "one",
  in: "list",
  notIn: "list",
  between: "two",
  isNull: "none",
  isNotNull: "none",
};
const OPERAND_TEXT: Readonly<Record<Operands, string>> = {
  none: "neither value nor values",
  one: 'one "value"',
  two: 'two "values": [low, high]',
  list: '"values": [one or more]',
};
