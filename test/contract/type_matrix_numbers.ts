import { type MatrixCase, range, term } from "./type_matrix.ts";

const DIGITS = "9".repeat(1000);
const MANY = `0.${"7".repeat(900)}`;

export const NUMBERS: readonly MatrixCase[] = [
  {
    column: "int2",
    fields: ["short", "keyword", "integer", "json"],
    values: [["-32768", "-32768", '"-32768"', "-32768", "-32768"], [
      "32767",
      "32767",
      '"32767"',
      "32767",
      "32767",
    ], ["NULL", "null", "null", "null", "null"]],
    find: [[0, 0, term(-32768)], [1, 1, term("32767")]],
  },
  {
    column: "int4",
    fields: ["integer", "long", "double", "text"],
    values: [["-2147483648", "-2147483648", "-2147483648", "-2147483648", '"-2147483648"']],
    find: [[0, 0, range({ lte: -2147483648 })]],
  },
  {
    column: "int8",
    fields: ["long", "keyword", "json"],
    values: [
      [
        "9223372036854775807",
        "9223372036854775807",
        '"9223372036854775807"',
        "9223372036854775807",
      ],
      ["9007199254740993", "9007199254740993", '"9007199254740993"', "9007199254740993"],
      [
        "'-9223372036854775808'",
        "-9223372036854775808",
        '"-9223372036854775808"',
        "-9223372036854775808",
      ],
      ["0", "0", '"0"', "0"],
    ],
    find: [[1, 1, term("9007199254740993")]],
  },
  {
    column: "numeric(20,0)",
    fields: ["unsigned_long", "keyword"],
    values: [["18446744073709551615", "18446744073709551615", '"18446744073709551615"']],
  },
  {
    column: "oid",
    fields: ["long", "keyword"],
    values: [["4294967295", "4294967295", '"4294967295"']],
    find: [[0, 0, term(4294967295)]],
  },
  { column: "oid[]", fields: ["long"], values: [["'{1,NULL,3}'", "[1, null, 3]"]] },
  {
    column: "float4",
    fields: ["float", "keyword", "double"],
    values: [
      ["0.1", "0.1", '"0.1"', "0.1"],
      ["'3.4028235e38'", "3.4028235e+38", '"3.4028235e+38"', "3.4028235e+38"],
      ["'1e-45'", "1e-45", '"1e-45"', "1e-45"],
      ["'-0'", "-0", '"-0"', "-0"],
      ["'Infinity'", "null", '"Infinity"', "null"],
      ["'NaN'", "null", '"NaN"', "null"],
    ],
  },
  {
    column: "float8",
    fields: ["double", "keyword", "json"],
    values: [
      ["0.1", "0.1", '"0.1"', "0.1"],
      [
        "'0.30000000000000004'",
        "0.30000000000000004",
        '"0.30000000000000004"',
        "0.30000000000000004",
      ],
      ["1e300", "1e+300", '"1e+300"', `1${"0".repeat(300)}`],
      [
        "'1.7976931348623157e308'",
        "1.7976931348623157e+308",
        '"1.7976931348623157e+308"',
        `17976931348623157${"0".repeat(292)}`,
      ],
      ["'5e-324'", "5e-324", '"5e-324"', `0.${"0".repeat(323)}5`],
      ["'-0'", "-0", '"-0"', "0"],
      ["'NaN'", "null", '"NaN"', '"NaN"'],
      ["'Infinity'", "null", '"Infinity"', '"Infinity"'],
      ["'-Infinity'", "null", '"-Infinity"', '"-Infinity"'],
    ],
    find: [[0, 0, term(0.1)], [0, 1, term(0.30000000000000004)]],
  },
  {
    column: "numeric",
    fields: ["decimal", "keyword", { type: "decimal", scale: 2 }, "double", "json"],
    values: [
      ["12345678901234567890.123456789", ...same("12345678901234567890.123456789")],
      ["1.10", ...same("1.10")],
      ["1e38", ...same(`1${"0".repeat(38)}`)],
      ["-1e38", ...same(`-1${"0".repeat(38)}`)],
      [MANY, ...same(MANY)],
      ["0.00", ...same("0.00")],
      ["'NaN'", "null", '"NaN"', "null", "null", '"NaN"'],
      ["'Infinity'", "null", '"Infinity"', "null", "null", '"Infinity"'],
      ["'-Infinity'", "null", '"-Infinity"', "null", "null", '"-Infinity"'],
    ],
    find: [[0, 1, term(1.1)], [2, 1, term(1.1)], [1, 1, term("1.10")], [0, 2, term(1e38)]],
  },
  { column: "numeric", fields: ["keyword", "json"], values: [[DIGITS, `"${DIGITS}"`, DIGITS]] },
  {
    column: "numeric(12,2)",
    fields: ["double", "float"],
    values: [["0.1", "0.10", "0.10"], ["'NaN'", "null", "null"]],
  },
  { column: "numeric(6,-2)", fields: ["long"], values: [["1234567", "1234600"]] },
  {
    column: "numeric[]",
    fields: ["double", "keyword"],
    values: [
      [
        "'{1.50,NaN,Infinity,NULL}'",
        "[1.50, null, null, null]",
        '["1.50", "NaN", "Infinity", null]',
      ],
      ["'{}'", "[]", "[]"],
      ["'{{1,2.0},{3,4}}'", "[1, 2.0, 3, 4]", '["1", "2.0", "3", "4"]'],
    ],
  },
  {
    column: "money",
    fields: ["decimal", "keyword", "double"],
    values: [
      ["'1234.50'", "1234.50", '"1234.50"', "1234.50"],
      ["'-0.05'", "-0.05", '"-0.05"', "-0.05"],
      [
        "'92233720368547758.07'",
        "92233720368547758.07",
        '"92233720368547758.07"',
        "92233720368547758.07",
      ],
    ],
    find: [[0, 0, term(1234.5)]],
  },
  {
    column: "boolean",
    fields: ["boolean", "keyword", "json"],
    values: [["true", "true", '"true"', "true"], ["false", "false", '"false"', "false"]],
    find: [[0, 0, term(true)]],
  },
  {
    column: "int[]",
    fields: ["integer", "keyword", "json"],
    values: [
      ["'{1,NULL,3}'", "[1,null,3]", '["1", null, "3"]', "[1, null, 3]"],
      ["'{}'", "[]", "[]", "[]"],
      ["'{{1,2},{3,4}}'", "[1, 2, 3, 4]", '["1", "2", "3", "4"]', "[[1, 2], [3, 4]]"],
      ["'[5:6]={7,8}'", "[7,8]", '["7", "8"]', "[7, 8]"],
      [
        "'{{{1},{2}},{{3},{NULL}}}'",
        "[1, 2, 3, null]",
        '["1", "2", "3", null]',
        "[[[1], [2]], [[3], [null]]]",
      ],
    ],
    find: [[0, 2, term(4)], [1, 0, term("3")]],
  },
  {
    column: "int2vector",
    fields: ["short", "keyword"],
    values: [["'1 -2'", "[1,-2]", '["1", "-2"]']],
  },
  { column: "oidvector", fields: ["long"], values: [["'1 2'", "[1, 2]"]] },
  {
    column: "xid8",
    fields: ["keyword"],
    values: [["'18446744073709551615'", '"18446744073709551615"']],
  },
  { column: "xid", fields: ["keyword"], values: [["'4294967295'", '"4294967295"']] },
  { column: "cid", fields: ["keyword"], values: [["'7'", '"7"']] },
  { column: "positive", fields: ["integer"], values: [["7", "7"]] },
  { column: "bool[]", fields: ["boolean"], values: [["'{t,f,NULL}'", "[true,false,null]"]] },
];

/** The same digits in decimal, keyword, scaled decimal, double and json. */
function same(digits: string): [string, string, string, string, string] {
  return [digits, `"${digits}"`, digits, digits, digits];
}
