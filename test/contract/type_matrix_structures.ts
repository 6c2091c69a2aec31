import { type MatrixCase, range, term } from "./type_matrix.ts";

const DEEP = `${'{"a":'.repeat(15)}1${"}".repeat(15)}`;
const SPACED = `${'{"a": '.repeat(15)}1${"}".repeat(15)}`;

export const STRUCTURES: readonly MatrixCase[] = [
  {
    column: "json",
    fields: ["json", { type: "json", as: "flat_object" }, "keyword"],
    values: [
      [
        `E'{"a":\\n 1.50,\\r\\n"b":[1,\\n2], "a": 2}'`,
        ...twice('{"a": 2, "b": [1, 2]}'),
        '"{\\"a\\":\\n 1.50,\\r\\n\\"b\\":[1,\\n2], \\"a\\": 2}"',
      ],
      ["'null'", "null", "null", '"null"'],
      [`'${DEEP}'`, ...twice(SPACED), JSON.stringify(DEEP)],
      [
        `'{"big": 123456789012345678901234567890.5, "e": 1e30}'`,
        ...twice(`{"e": 1${"0".repeat(30)}, "big": 123456789012345678901234567890.5}`),
        `"{\\"big\\": 123456789012345678901234567890.5, \\"e\\": 1e30}"`,
      ],
      [
        `'[{"a": 1}, {"a": 2}]'`,
        ...twice('[{"a": 1}, {"a": 2}]'),
        '"[{\\"a\\": 1}, {\\"a\\": 2}]"',
      ],
      [
        `'{"\u{1F600}": "\u05D0\u2028"}'`,
        ...twice('{"\u{1F600}": "\u05D0\u2028"}'),
        '"{\\"\u{1F600}\\": \\"\u05D0\u2028\\"}"',
      ],
    ],
    find: [[1, 1 - 1, (name) => ({ term: { [`${name}.a`]: "2" } })]],
  },
  // Fields that aren't searched hold whatever JSON is.
  {
    column: "json",
    fields: ["json"],
    values: [["'5'", "5"], [`'"x"'`, '"x"'], ["'[1, [2]]'", "[1, [2]]"], ["'true'", "true"]],
  },
  {
    column: "jsonb",
    fields: ["json", { type: "json", as: "object" }],
    values: [[`'{"x": "a\\nb"}'`, ...twice('{"x": "a\\nb"}')], ["'[]'", "[]", "[]"], [
      "'{}'",
      "{}",
      "{}",
    ], ["NULL", "null", "null"]],
    find: [[1, 0, (name) => ({ match: { [`${name}.x`]: "b" } })]],
  },
  {
    column: "jsonb[]",
    fields: ["json", "keyword"],
    values: [[`ARRAY['{"x":1}'::jsonb, NULL]`, '[{"x": 1}, null]', '["{\\"x\\": 1}", null]']],
  },
  { column: "json[]", fields: ["json"], values: [[`ARRAY[E'{"x":\\n1}'::json]`, '[{"x": 1}]']] },
  {
    column: "jsonb",
    fields: ["completion"],
    values: [[`'{"input": ["a", "b"], "weight": 3}'`, '{"input": ["a", "b"], "weight": 3}'], [
      `'["a", "b"]'`,
      '["a", "b"]',
    ], ["'null'", "null"]],
  },
  {
    column: "hstore",
    fields: [
      { type: "map", values: "keyword" },
      { type: "map", values: "text" },
      "json",
      "keyword",
    ],
    values: [
      [
        "'a=>1,b=>NULL'",
        '{"a":"1","b":null}',
        '{"a":"1","b":null}',
        '{"a": "1", "b": null}',
        `"\\"a\\"=>\\"1\\", \\"b\\"=>NULL"`,
      ],
      ["''", "{}", "{}", "{}", '""'],
    ],
    find: [[0, 0, (name) => ({ term: { [`${name}.a`]: "1" } })]],
  },
  {
    column: "hstore",
    fields: [{ type: "map", values: "double" }, { type: "map", values: "long" }],
    values: [["'a=>10,b=>-2,c=>NULL'", '{"a":10,"b":-2,"c":null}', '{"a":10,"b":-2,"c":null}']],
    find: [[0, 0, (name) => ({ range: { [`${name}.a`]: { gte: 10 } } })], [
      1,
      0,
      (name) => ({ term: { [`${name}.b`]: -2 } }),
    ]],
  },
  {
    column: "jsonb",
    fields: [{ type: "map", values: "keyword" }, { type: "map", values: "text" }],
    values: [
      [
        `'{"a": 1.50, "b": [true, "x\\ny", null], "c": {"d": 1}, "e": []}'`,
        ...twice(`{"a":"1.50","b":["true", "x\\ny", null],"c":"{\\"d\\": 1}","e":[]}`),
      ],
      ["'null'", "null", "null"],
      ["NULL", "null", "null"],
    ],
    find: [[0, 0, (name) => ({ term: { [`${name}.b`]: "true" } })]],
  },
  {
    column: "json",
    fields: [{ type: "map", values: "boolean" }],
    values: [[`'{"a": true, "b": "no", "c": [false]}'`, '{"a":true,"b":false,"c":[false]}']],
    find: [[0, 0, (name) => ({ term: { [`${name}.b`]: false } })]],
  },
  {
    column: "jsonb",
    fields: [{ type: "map", values: "date" }],
    values: [
      [
        `'{"a": "2024-01-01", "b": "2024-03-10 02:30:00-05", "c": "infinity", "d": "0044-03-15 BC"}'`,
        '{"a":"2024-01-01T00:00:00+00:00","b":"2024-03-10T07:30:00+00:00","c":null,"d":"-0043-03-15T00:00:00.000000+00:00"}',
      ],
    ],
    find: [[
      0,
      0,
      (name) => ({ range: { [`${name}.a`]: { gte: "2024-01-01", lte: "2024-01-01" } } }),
    ]],
  },
  {
    column: "address",
    fields: ["json", { type: "json", as: "flat_object" }, "keyword", {
      type: "custom",
      mapping: { type: "object", enabled: false },
    }],
    values: [
      [
        "ROW('a,b', 7, '{2024-01-01,infinity}')",
        ...twice('{"zip": 7, "days": ["2024-01-01", "infinity"], "street": "a,b"}'),
        `"(\\"a,b\\",7,\\"{2024-01-01,infinity}\\")"`,
        '{"zip": 7, "days": ["2024-01-01", "infinity"], "street": "a,b"}',
      ],
      [
        "ROW(NULL, NULL, NULL)",
        ...twice('{"zip": null, "days": null, "street": null}'),
        '"(,,)"',
        '{"zip": null, "days": null, "street": null}',
      ],
      ["NULL", "null", "null", "null", "null"],
    ],
    find: [[1, 0, (name) => ({ term: { [`${name}.street`]: "a,b" } })]],
  },
  {
    column: "address[]",
    fields: ["json", "text"],
    values: [[
      "ARRAY[ROW('x', 1, '{}')::address]",
      '[{"zip": 1, "days": [], "street": "x"}]',
      '["(x,1,{})"]',
    ]],
  },
  {
    column: "int4range",
    fields: ["integer_range", "keyword", "long_range", "float_range", "json"],
    values: [
      ["'[1,5)'", '{"gte":1,"lt":5}', '"[1,5)"', '{"gte":1,"lt":5}', '{"gte":1,"lt":5}', '"[1,5)"'],
      ["'(1,5]'", '{"gte":2,"lt":6}', '"[2,6)"', '{"gte":2,"lt":6}', '{"gte":2,"lt":6}', '"[2,6)"'],
      ["'empty'", "null", '"empty"', "null", "null", '"empty"'],
      ["'(,3)'", '{"lt":3}', '"(,3)"', '{"lt":3}', '{"lt":3}', '"(,3)"'],
      ["'(,)'", "{}", '"(,)"', "{}", "{}", '"(,)"'],
      [
        "'[16777216,16777216]'",
        '{"gte":16777216,"lt":16777217}',
        '"[16777216,16777217)"',
        '{"gte":16777216,"lt":16777217}',
        '{"gte":16777216,"lte":16777217}',
        '"[16777216,16777217)"',
      ],
    ],
    find: [[0, 0, term(4)], [0, 4, term(1000)], [3, 5, term(16777216)]],
  },
  {
    column: "int4range[]",
    fields: ["integer_range"],
    values: [["'{\"[1,3)\",empty,NULL}'", '[{"gte":1,"lt":3}, null, null]'], ["'{}'", "[]"]],
  },
  {
    column: "int4multirange",
    fields: ["integer_range", "keyword"],
    values: [["'{[1,3),[7,8)}'", '[{"gte":1,"lt":3}, {"gte":7,"lt":8}]', '"{[1,3),[7,8)}"'], [
      "'{}'",
      "[]",
      '"{}"',
    ]],
    find: [[0, 0, term(7)]],
  },
  {
    column: "int8range",
    fields: ["long_range", "double_range"],
    values: [[
      "'[9007199254740992,9007199254740993)'",
      '{"gte":9007199254740992,"lt":9007199254740993}',
      '{"gte":9007199254740992,"lte":9007199254740993}',
    ]],
    find: [[0, 0, term(9007199254740992)]],
  },
  {
    column: "int8multirange",
    fields: ["long_range"],
    values: [["'{[1,2)}'", '[{"gte":1,"lt":2}]']],
  },
  {
    column: "numrange",
    fields: ["double_range", "float_range", "keyword"],
    values: [
      ["'[1.10,2.2]'", ...twice('{"gte":1.10,"lte":2.2}'), '"[1.10,2.2]"'],
      ["'(1.10,2.2)'", ...twice('{"gt":1.10,"lt":2.2}'), '"(1.10,2.2)"'],
      ["'(-Infinity,5)'", ...twice('{"lt":5}'), '"(-Infinity,5)"'],
      ["'[1,Infinity]'", ...twice('{"gte":1}'), '"[1,Infinity]"'],
      ["'[Infinity,Infinity]'", "null", "null", '"[Infinity,Infinity]"'],
      ["'[3,NaN)'", ...twice('{"gte":3}'), '"[3,NaN)"'],
      ["'[NaN,NaN]'", "null", "null", '"[NaN,NaN]"'],
      [
        "'[0.1,0.10000000000000000001)'",
        ...twice('{"gte":0.1,"lte":0.10000000000000000001}'),
        '"[0.1,0.10000000000000000001)"',
      ],
      ["'[-0.5,0)'", ...twice('{"gte":-0.5,"lt":0}'), '"[-0.5,0)"'],
      ["'empty'", "null", "null", '"empty"'],
    ],
    find: [[0, 0, term(2.2)], [0, 3, range({ gte: 1e9, relation: "intersects" })], [
      0,
      7,
      term(0.1),
    ]],
  },
  {
    column: "nummultirange",
    fields: ["double_range"],
    values: [["'{[1,2),(3,)}'", '[{"gte":1,"lt":2}, {"gt":3}]']],
  },
  {
    column: "floatrange",
    fields: ["double_range", "float_range", "keyword"],
    values: [[
      "'[0.1,0.100000000001)'",
      '{"gte":0.1,"lt":0.100000000001}',
      '{"gte":0.1,"lte":0.100000000001}',
      '"[0.1,0.100000000001)"',
    ], ["'[-Infinity,1)'", ...twice('{"lt":1}'), '"[-Infinity,1)"']],
  },
  {
    column: "tstzrange",
    fields: ["date_range", "keyword"],
    values: [
      [
        `'["2024-01-01 00:00:00+02","2024-01-02 00:00:00.5+00")'`,
        '{"gte":"2023-12-31T22:00:00+00:00","lt":"2024-01-02T00:00:00.5+00:00"}',
        `"[\\"2023-12-31 22:00:00+00\\",\\"2024-01-02 00:00:00.5+00\\")"`,
      ],
      [
        `'["2024-01-01 00:00:00.0001+00","2024-01-01 00:00:00.0002+00")'`,
        '{"gte":"2024-01-01T00:00:00.0001+00:00","lte":"2024-01-01T00:00:00.0002+00:00"}',
        `"[\\"2024-01-01 00:00:00.0001+00\\",\\"2024-01-01 00:00:00.0002+00\\")"`,
      ],
      [
        `'("2024-01-01 00:00:00.0001+00","2024-01-01 00:00:00.0015+00")'`,
        '{"gte":"2024-01-01T00:00:00.0001+00:00","lte":"2024-01-01T00:00:00.0015+00:00"}',
        `"(\\"2024-01-01 00:00:00.0001+00\\",\\"2024-01-01 00:00:00.0015+00\\")"`,
      ],
      [
        `'["2024-01-01 00:00:00+00",infinity)'`,
        '{"gte":"2024-01-01T00:00:00+00:00"}',
        `"[\\"2024-01-01 00:00:00+00\\",infinity)"`,
      ],
      [
        `'[-infinity,"2024-01-01 00:00:00+00"]'`,
        '{"lte":"2024-01-01T00:00:00+00:00"}',
        `"[-infinity,\\"2024-01-01 00:00:00+00\\"]"`,
      ],
      [`'[infinity,infinity]'`, "null", '"[infinity,infinity]"'],
      [
        `'["4714-11-24 00:00:00+00 BC","294276-12-31 23:59:59+00"]'`,
        '{"gte":"-4713-11-24T00:00:00.000000+00:00","lte":"+294276-12-31T23:59:59.000000+00:00"}',
        `"[\\"4714-11-24 00:00:00+00 BC\\",\\"294276-12-31 23:59:59+00\\"]"`,
      ],
    ],
    find: [[0, 0, term("2024-01-01T12:00:00Z")], [0, 1, term("2024-01-01T00:00:00.000Z")], [
      0,
      6,
      term("-4000-01-01"),
    ]],
  },
  {
    column: "tsrange",
    fields: ["date_range"],
    values: [[
      "'[2024-01-01,2024-01-02)'",
      '{"gte":"2024-01-01T00:00:00","lt":"2024-01-02T00:00:00"}',
    ]],
  },
  {
    column: "daterange",
    fields: ["date_range"],
    values: [["'[2024-01-01,2024-01-31]'", '{"gte":"2024-01-01","lt":"2024-02-01"}'], [
      "'[2024-01-01,infinity)'",
      '{"gte":"2024-01-01"}',
    ], ["'empty'", "null"]],
    find: [[0, 0, term("2024-01-31")]],
  },
  {
    column: "tstzmultirange",
    fields: ["date_range"],
    values: [[
      "'{[2024-01-01,2024-01-02)}'",
      '[{"gte":"2024-01-01T00:00:00+00:00","lt":"2024-01-02T00:00:00+00:00"}]',
    ]],
  },
  { column: "tsmultirange", fields: ["date_range"], values: [["'{}'", "[]"]] },
  {
    column: "datemultirange",
    fields: ["date_range", "keyword"],
    values: [[
      "'{[2024-01-01,2024-01-02)}'",
      '[{"gte":"2024-01-01","lt":"2024-01-02"}]',
      '"{[2024-01-01,2024-01-02)}"',
    ]],
  },
  {
    column: "inetrange",
    fields: ["ip_range"],
    values: [["'[10.0.0.1,10.0.0.9]'", '{"gte":"10.0.0.1","lte":"10.0.0.9"}'], [
      "'[::1,)'",
      '{"gte":"::1"}',
    ]],
    find: [[0, 0, term("10.0.0.5")]],
  },
  {
    column: "timerange",
    fields: ["keyword"],
    values: [["'[08:00,12:00)'", '"[08:00:00,12:00:00)"']],
  },
  {
    column: "point",
    fields: ["geo_shape", "keyword", { type: "custom", mapping: { type: "geo_point" } }],
    values: [
      [
        "'(13.5,52.5)'",
        '{"type":"Point","coordinates":[13.5,52.5]}',
        '"(13.5,52.5)"',
        "[13.5,52.5]",
      ],
      ["'(1e-7,-0)'", '{"type":"Point","coordinates":[1e-07,-0]}', '"(1e-07,-0)"', "[1e-07,-0]"],
      ["'(Infinity,1)'", "null", '"(Infinity,1)"', "null"],
      ["'(NaN,1)'", "null", '"(NaN,1)"', "null"],
    ],
    find: [[0, 0, within], [
      2,
      0,
      (name) => ({ geo_distance: { distance: "1km", [name]: { lat: 52.5, lon: 13.5 } } }),
    ]],
  },
  {
    column: "lseg",
    fields: ["geo_shape", "keyword"],
    values: [[
      "'[(1,2),(3,4)]'",
      '{"type":"LineString","coordinates":[[1,2],[3,4]]}',
      '"[(1,2),(3,4)]"',
    ]],
  },
  {
    column: "box",
    fields: ["geo_shape", "keyword"],
    values: [[
      "'(3,4),(1,2)'",
      '{"type":"Polygon","coordinates":[[[1,2],[3,2],[3,4],[1,4],[1,2]]]}',
      '"(3,4),(1,2)"',
    ]],
  },
  {
    column: "path",
    fields: ["geo_shape", "keyword"],
    values: [[
      "'[(1,2),(3,4),(5,5)]'",
      '{"type":"LineString","coordinates":[[1,2],[3,4],[5,5]]}',
      '"[(1,2),(3,4),(5,5)]"',
    ], [
      "'((1,2),(3,4),(5,5))'",
      '{"type":"LineString","coordinates":[[1,2],[3,4],[5,5],[1,2]]}',
      '"((1,2),(3,4),(5,5))"',
    ]],
  },
  {
    column: "polygon",
    fields: ["geo_shape", "keyword"],
    values: [[
      "'((10,50),(20,50),(15,55))'",
      '{"type":"Polygon","coordinates":[[[10,50],[20,50],[15,55],[10,50]]]}',
      '"((10,50),(20,50),(15,55))"',
    ], [
      "'((0,0),(1,0),(1,1),(0,0))'",
      '{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]]]}',
      '"((0,0),(1,0),(1,1),(0,0))"',
    ]],
    find: [[
      0,
      0,
      (name) => ({ geo_shape: { [name]: { shape: { type: "point", coordinates: [15, 52] } } } }),
    ]],
  },
  { column: "circle", fields: ["keyword"], values: [["'<(1,2),3>'", '"<(1,2),3>"']] },
  { column: "line", fields: ["keyword"], values: [["'{1,2,3}'", '"{1,2,3}"']] },
  {
    column: "box[]",
    fields: ["keyword"],
    values: [["'{(3,4),(1,2);(5,6),(5,5)}'", '["(3,4),(1,2)", "(5,6),(5,5)"]']],
  },
  {
    column: "jsonb",
    fields: ["geo_shape"],
    values: [[
      `'{"type": "Point", "coordinates": [13.5, 52.5]}'`,
      '{"type": "Point", "coordinates": [13.5, 52.5]}',
    ], ["'null'", "null"]],
    find: [[0, 0, within]],
  },
  {
    column: "json",
    fields: ["geo_shape"],
    values: [[
      `E'{"type": "Point",\\n "coordinates": [13.5, 52.5]}'`,
      '{"type": "Point", "coordinates": [13.5, 52.5]}',
    ]],
  },
  {
    column: "text",
    fields: ["geo_shape"],
    values: [["'POINT (13.5 52.5)'", '"POINT (13.5 52.5)"'], ["''", "null"]],
    find: [[0, 0, within]],
  },
  // Stand-ins for PostGIS, in a schema that isn't on the search path.
  {
    column: "ext.geometry",
    fields: ["geo_shape"],
    values: [[
      `'{"type":"Point","coordinates":[13.5,52.5]}'`,
      '{"type":"Point","coordinates":[13.5,52.5]}',
    ], ["''", "null"]],
    find: [[0, 0, within]],
  },
  {
    column: "ext.geography",
    fields: ["geo_shape"],
    values: [[`'{"type":"Point","coordinates":[1,2]}'`, '{"type":"Point","coordinates":[1,2]}']],
  },
  // And for pgvector, whose numbers OpenSearch's test server has no field for.
  {
    column: "ext.vector(3)",
    fields: [{ type: "custom", mapping: { type: "double" } }, "keyword"],
    values: [["'[1,2.5,-3]'", "[1,2.5,-3]", '"[1,2.5,-3]"']],
  },
  {
    column: "numeric",
    fields: [{ type: "custom", mapping: { type: "scaled_float", scaling_factor: 10 } }, {
      type: "custom",
      mapping: { type: "keyword" },
    }],
    values: [["1.50", "1.50", '"1.50"'], ["'NaN'", "null", '"NaN"']],
    find: [[0, 0, term(1.5)], [1, 0, term("1.50")]],
  },
  {
    column: "int4range",
    fields: [{ type: "custom", mapping: { type: "integer_range" } }, {
      type: "custom",
      mapping: { type: "keyword" },
    }],
    values: [["'[1,5)'", '{"gte":1,"lt":5}', '"[1,5)"']],
  },
  {
    column: "text[]",
    fields: [{ type: "custom", mapping: { type: "completion" } }],
    values: [[`'{a,""}'`, '["a"]']],
  },
  {
    column: "timestamptz",
    fields: [{ type: "custom", mapping: { type: "date" } }],
    values: [["'2024-03-10 02:30:00-05'", '"2024-03-10T07:30:00+00:00"'], ["'infinity'", "null"]],
  },
];

function within(name: string): ReturnType<ReturnType<typeof term>> {
  return {
    geo_shape: { [name]: { shape: { type: "envelope", coordinates: [[13, 53], [14, 52]] } } },
  };
}

function twice(json: string): [string, string] {
  return [json, json];
}
