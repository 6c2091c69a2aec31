import { type MatrixCase, term } from "./type_matrix.ts";

/** Astral, right to left, combining, the line separator that JSON allows, control characters. */
const ODD_SQL =
  `E'a"b\\\\c\\n\\t\\u0001\\u0007 \\U0001F600 \\u200F\\u05D0 e\\u0301 \\u2028\\u2029 \\uFEFF\\u007F'`;
const ODD =
  `a\\"b\\\\c\\n\\t\\u0001\\u0007 \u{1F600} \u200F\u05D0 e\u0301 \u2028\u2029 \uFEFF\u007F`;
const BYTES = "decode(repeat('ff', 60), 'hex')";

export const TEXTS: readonly MatrixCase[] = [
  {
    column: "text",
    fields: [
      "text",
      "keyword",
      "identifier",
      "match_only_text",
      "search_as_you_type",
      "wildcard",
      "completion",
    ],
    values: [
      [ODD_SQL, ...all(ODD)],
      ["''", '""', '""', '""', '""', '""', '""', "null"],
      ["'C-01234'", ...all("C-01234")],
      ["repeat('\u00e9', 5000)", ...all("\u00e9".repeat(5000))],
      ["NULL", ...Array.from({ length: 7 }, () => "null")],
    ],
    find: [
      [0, 2, (name) => ({ match: { [name]: "01234" } })],
      [1, 2, term("C-01234")],
      [1, 0, term(JSON.parse(`"${ODD}"`))],
      [1, 1, term("")],
      [5, 2, (name) => ({ wildcard: { [name]: "C-*34" } })],
    ],
  },
  {
    column: "text[]",
    fields: ["keyword", "completion", "text", "json"],
    values: [
      [
        `'{a,"b,c",NULL,""}'`,
        '["a","b,c",null,""]',
        '["a", "b,c"]',
        '["a","b,c",null,""]',
        '["a", "b,c", null, ""]',
      ],
      ["'{}'", "[]", "[]", "[]", "[]"],
      [
        "'{{a,b},{c,d}}'",
        '["a", "b", "c", "d"]',
        '["a", "b", "c", "d"]',
        '["a", "b", "c", "d"]',
        '[["a", "b"], ["c", "d"]]',
      ],
    ],
    find: [[0, 0, term("b,c")], [0, 2, term("d")]],
  },
  {
    column: "char(5)",
    fields: ["keyword"],
    values: [["'ab'", '"ab"'], ["''", '""']],
    find: [[0, 0, term("ab")]],
  },
  { column: "char(5)[]", fields: ["keyword"], values: [["'{ab,NULL}'", '["ab", null]']] },
  {
    column: "varchar(9)",
    fields: ["keyword", "identifier"],
    values: [["'Ab '", '"Ab "', '"Ab "']],
  },
  { column: `"char"`, fields: ["keyword"], values: [["'x'", '"x"'], ["''", '""']] },
  { column: "name", fields: ["keyword"], values: [["'pg_class'", '"pg_class"']] },
  {
    column: "citext",
    fields: ["keyword", "completion"],
    values: [["'AbC'", '"AbC"', '"AbC"'], ["''", '""', "null"]],
  },
  {
    column: "mood",
    fields: ["enum", "keyword", "json", "completion"],
    values: [["'so so'", '"so so"', '"so so"', '"so so"', '"so so"']],
    find: [[0, 0, term("so so")]],
  },
  { column: "mood[]", fields: ["enum"], values: [[`'{good,"so so"}'`, '["good","so so"]']] },
  {
    column: "tags",
    fields: ["keyword", "json"],
    values: [["'{x,y}'", '["x","y"]', '["x", "y"]']],
    find: [[0, 0, term("y")]],
  },
  {
    column: "tags[]",
    fields: ["keyword", "json"],
    values: [[`ARRAY['{x,y}','{z}']::tags[]`, '["{x,y}", "{z}"]', '[["x", "y"], ["z"]]']],
  },
  {
    column: "uuid",
    fields: ["uuid", "keyword", "json"],
    values: [[
      "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
      ...Array.from({ length: 3 }, () => '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'),
    ]],
    find: [[0, 0, term("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")]],
  },
  {
    column: "bytea",
    fields: ["binary", "keyword", "json"],
    values: [
      [BYTES, `"${"/".repeat(80)}"`, `"${"/".repeat(80)}"`, `"\\\\x${"ff".repeat(60)}"`],
      ["''", '""', '""', '"\\\\x"'],
      [`'\\x00010a'`, '"AAEK"', '"AAEK"', '"\\\\x00010a"'],
    ],
    find: [[1, 2, term("AAEK")]],
  },
  // More than a keyword takes.
  {
    column: "bytea",
    fields: ["binary"],
    values: [["decode(repeat('00', 90000), 'hex')", `"${"A".repeat(120000)}"`]],
  },
  {
    column: "bytea[]",
    fields: ["binary"],
    values: [[`ARRAY['\\x01'::bytea, NULL]`, '["AQ==", null]']],
  },
  { column: "bit(3)", fields: ["keyword"], values: [["B'101'", '"101"']] },
  {
    column: "varbit",
    fields: ["keyword", "json"],
    values: [["B'0011'", '"0011"', '"0011"'], ["B''", '""', '""']],
  },
  {
    column: "inet",
    fields: ["ip", "keyword", "ip_range"],
    values: [
      ["'10.1.2.3/24'", '"10.1.2.3"', '"10.1.2.3/24"', '"10.1.2.0/24"'],
      ["'10.1.2.3'", '"10.1.2.3"', '"10.1.2.3/32"', '"10.1.2.3/32"'],
      ["'::1'", '"::1"', '"::1/128"', '"::1/128"'],
      ["'2001:db8::5/32'", '"2001:db8::5"', '"2001:db8::5/32"', '"2001:db8::/32"'],
      [
        "'::ffff:10.0.0.1/104'",
        '"::ffff:10.0.0.1"',
        '"::ffff:10.0.0.1/104"',
        '{"gte" : "::ffff:10.0.0.0", "lte" : "::ffff:10.255.255.255"}',
      ],
      ["'0.0.0.0/0'", '"0.0.0.0"', '"0.0.0.0/0"', '"0.0.0.0/0"'],
      ["NULL", "null", "null", "null"],
    ],
    find: [[0, 0, term("10.1.2.3")], [0, 0, term("10.1.0.0/16")], [2, 0, term("10.1.2.77")], [
      2,
      3,
      term("2001:db8:ffff::"),
    ], [2, 4, term("10.7.7.7")]],
  },
  {
    column: "inet[]",
    fields: ["ip", "ip_range"],
    values: [[
      "'{10.0.0.1,::2,NULL}'",
      '["10.0.0.1", "::2", null]',
      '["10.0.0.1/32", "::2/128", null]',
    ]],
  },
  {
    column: "cidr",
    fields: ["ip_range", "ip", "keyword"],
    values: [["'10.1.0.0/16'", '"10.1.0.0/16"', '"10.1.0.0"', '"10.1.0.0/16"'], [
      "'::/0'",
      '"::/0"',
      '"::"',
      '"::/0"',
    ]],
    find: [[0, 0, term("10.1.255.255")]],
  },
  { column: "text", fields: ["ip"], values: [["'192.168.0.1'", '"192.168.0.1"'], ["''", "null"]] },
  {
    column: "macaddr",
    fields: ["keyword"],
    values: [["'08-00-2B-01-02-03'", '"08:00:2b:01:02:03"']],
  },
  {
    column: "macaddr8",
    fields: ["keyword"],
    values: [["'08-00-2B-01-02-03-04-05'", '"08:00:2b:01:02:03:04:05"']],
  },
  {
    column: "xml",
    fields: ["keyword", "text"],
    values: [["'<a>\n<b/></a>'", '"<a>\\n<b/></a>"', '"<a>\\n<b/></a>"']],
  },
  {
    column: "tsvector",
    fields: ["keyword", "text"],
    values: [["to_tsvector('simple', 'b a a')", `"'a':2,3 'b':1"`, `"'a':2,3 'b':1"`]],
  },
  {
    column: "tsquery",
    fields: ["keyword"],
    values: [["'fat & (rat | !cat)'", `"'fat' & ( 'rat' | !'cat' )"`]],
  },
  { column: "pg_lsn", fields: ["keyword"], values: [["'16/B374D848'", '"16/B374D848"']] },
  {
    column: "regclass",
    fields: ["keyword"],
    values: [["'pg_catalog.pg_class'", '"pg_class"'], ["'v'", '"v"'], [
      "'ext.other'",
      '"ext.other"',
    ]],
  },
  {
    column: "regtype",
    fields: ["keyword"],
    values: [["'int4'", '"integer"'], ["'mood'", '"mood"']],
  },
  { column: "regproc", fields: ["keyword"], values: [["'pg_catalog.now'", '"now"']] },
  {
    column: "regprocedure",
    fields: ["keyword"],
    values: [["'pg_catalog.abs(int4)'", '"abs(integer)"']],
  },
  { column: "regoper", fields: ["keyword"], values: [["'pg_catalog.||/'", '"||/"']] },
  {
    column: "regoperator",
    fields: ["keyword"],
    values: [["'pg_catalog.+(int4,int4)'", '"+(integer,integer)"']],
  },
  { column: "regrole", fields: ["keyword"], values: [["'postgres'", '"postgres"']] },
  { column: "regnamespace", fields: ["keyword"], values: [["'pg_catalog'", '"pg_catalog"']] },
  { column: "regconfig", fields: ["keyword"], values: [["'simple'", '"simple"']] },
  { column: "regdictionary", fields: ["keyword"], values: [["'simple'", '"simple"']] },
  { column: "regcollation", fields: ["keyword"], values: [[`'"C"'`, '"\\"C\\""']] },
  {
    column: "aclitem",
    fields: ["keyword"],
    values: [["'postgres=r/postgres'", '"postgres=r/postgres"']],
  },
  { column: "tid", fields: ["keyword"], values: [["'(0,1)'", '"(0,1)"']] },
  { column: "refcursor", fields: ["keyword"], values: [["'c1'", '"c1"']] },
  { column: "pg_snapshot", fields: ["keyword"], values: [["'10:20:10,14'", '"10:20:10,14"']] },
  { column: "txid_snapshot", fields: ["keyword"], values: [["'10:20:10,14'", '"10:20:10,14"']] },
  {
    column: "jsonpath",
    fields: ["keyword"],
    values: [["'$.a[*] ? (@ > 1)'", '"$.\\"a\\"[*]?(@ > 1)"']],
  },
  { column: "ltree", fields: ["keyword"], values: [["'a.b.c'", '"a.b.c"']] },
  {
    column: "isbn13",
    fields: ["keyword"],
    values: [["'978-0-393-04002-9'", '"978-0-393-04002-9"']],
  },
  { column: "cube", fields: ["keyword"], values: [["'(1,2),(3,4)'", '"(1, 2),(3, 4)"']] },
];

/** The same text in each of seven fields. */
function all(text: string): string[] {
  return Array.from({ length: 7 }, () => `"${text}"`);
}
