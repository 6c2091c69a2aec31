/** The example of the index language, verbatim from the design (4.1). */
export const LANGUAGE_EXAMPLE = `{
"indexes": {
  "users": {                                   // or "users": "./users.index.jsonc"
    "table": "users",                          // "schema.table", or {"schema": "crm", "table": "User"}: identifiers are taken verbatim, mixed case works
    "key": ["id"],                             // default: the primary key; composite keys work
    "where": [{ "column": "tenant", "op": "eq", "value": "acme" }],
    "softDelete": { "column": "deleted_at" },  // true or non-null ⇒ no document; or "when": [filters]
    "fields": {
      "email": { "type": "keyword", "transforms": ["lowercase", "trim"] },
      "name": "text",                          // shorthand: type, column of the same name
      "createdAt": { "type": "date", "column": "created_at" },
      "fullName": { "type": "text", "sql": "first_name || ' ' || last_name" },
      "location": { "type": "geo_point", "lat": "lat", "lon": "lon" },
      "profile": { "object": { "bio": "text" } },
      "company": { "belongsTo": "companies", "column": "company_id", "fields": { "name": "keyword" } },
      "orders": { "hasMany": "orders", "foreignKey": "user_id", "orderBy": [{ "column": "created_at", "direction": "desc" }], "limit": 5,
                  "where": [{ "column": "status", "op": "neq", "value": "void" }],
                  "fields": { "total": "double", "lines": { "hasMany": "order_lines", "foreignKey": "order_id", "fields": { "sku": "keyword" } } } },
      "roles": { "manyToMany": "roles", "through": { "table": "user_roles", "leftKey": "user_id", "rightKey": "role_id" }, "fields": { "name": "keyword" } },
      "orderCount": { "count": "orders", "foreignKey": "user_id" },
      "spent": { "sum": "orders", "column": "total", "foreignKey": "user_id", "where": [{ "column": "status", "op": "eq", "value": "paid" }] }
    },
    "settings": { "number_of_replicas": 0 }, "analysis": { }, "mappings": { },   // merged over what is derived
    "sinks": ["search"], "onRejected": "stop"
  }
}
}`;

/** Tables that it fits. */
export const LANGUAGE_TABLES = `
CREATE TABLE companies (id int PRIMARY KEY, name text);
CREATE TABLE users (
  id int PRIMARY KEY, tenant text, deleted_at timestamptz, email text, name text,
  created_at timestamptz, first_name text, last_name text, lat float8, lon float8, bio text,
  company_id int REFERENCES companies
);
CREATE TABLE orders (
  id int PRIMARY KEY, user_id int REFERENCES users, created_at timestamptz, status text, total numeric
);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders, sku text);
CREATE TABLE roles (id int PRIMARY KEY, name text);
CREATE TABLE user_roles (user_id int, role_id int, PRIMARY KEY (user_id, role_id));
`;
