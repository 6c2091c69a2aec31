/** Where the test's shop is and where its documents go. */
export interface ChinookPlaces {
  /** Absent: into sqlite alone. */
  readonly openSearch?: { readonly url: string; readonly prefix: string };
  readonly sqlitePath: string;
}

/** Short, so that a test can let it pass: what is found within it says nothing about a resume. */
export const MARGIN_MS = 100;

/** The config of the whole shop: five indexes over its eleven tables. DATABASE_URL is the source. */
export function chinookConfig({ openSearch, sqlitePath }: ChinookPlaces): object {
  return {
    source: {
      capture: "updated_at",
      poll: { minInterval: "50ms", maxInterval: "250ms", margin: `${MARGIN_MS}ms` },
    },
    sinks: {
      ...(openSearch === undefined ? {} : {
        search: {
          type: "opensearch",
          nodes: [openSearch.url],
          indexPrefix: openSearch.prefix,
        },
      }),
      local: { type: "sqlite", path: sqlitePath },
    },
    indexes: { albums, artists, customers, employees, tracks },
  };
}

const oneShard = { number_of_shards: 1, number_of_replicas: 0 };

/** Over two tables that have stamps from the start. */
const albums = {
  table: "album",
  fields: {
    albumId: { type: "integer", column: "album_id" },
    title: "text",
    artist: { belongsTo: "artist", column: "artist_id", fields: { name: "keyword" } },
  },
  settings: oneShard,
};

const artists = {
  table: "artist",
  fields: {
    artistId: { type: "integer", column: "artist_id" },
    name: "text",
    albums: {
      hasMany: "album",
      foreignKey: "artist_id",
      fields: {
        albumId: { type: "integer", column: "album_id" },
        title: "text",
        tracks: {
          hasMany: "track",
          foreignKey: "album_id",
          fields: {
            trackId: { type: "integer", column: "track_id" },
            name: "text",
            milliseconds: "integer",
            unitPrice: { type: "decimal", scale: 2, column: "unit_price" },
          },
        },
        trackCount: { count: "track", foreignKey: "album_id" },
        playTime: { sum: "track", column: "milliseconds", foreignKey: "album_id" },
      },
    },
    albumCount: { count: "album", foreignKey: "artist_id" },
  },
  settings: oneShard,
};

const invoiceTotals = { column: "total", foreignKey: "customer_id" };
const customers = {
  table: "customer",
  fields: {
    customerId: { type: "integer", column: "customer_id" },
    name: { type: "text", sql: "first_name || ' ' || last_name" },
    email: { type: "keyword", transforms: ["lowercase"] },
    company: { type: "keyword", transforms: [{ default: "(private)" }] },
    address: { object: { city: "keyword", country: "keyword" } },
    support: {
      belongsTo: "employee",
      column: "support_rep_id",
      fields: { name: { type: "text", sql: "first_name || ' ' || last_name" }, title: "keyword" },
    },
    invoices: {
      hasMany: "invoice",
      foreignKey: "customer_id",
      orderBy: [{ column: "invoice_date", direction: "desc" }],
      fields: {
        invoiceId: { type: "integer", column: "invoice_id" },
        date: { type: "date", column: "invoice_date" },
        total: { type: "decimal", scale: 2 },
        lines: {
          hasMany: "invoice_line",
          foreignKey: "invoice_id",
          mapping: "nested",
          fields: {
            invoiceLineId: { type: "integer", column: "invoice_line_id" },
            quantity: "integer",
            unitPrice: { type: "decimal", column: "unit_price" },
            track: { belongsTo: "track", column: "track_id", fields: { name: "text" } },
          },
        },
      },
    },
    latest: {
      hasMany: "invoice",
      foreignKey: "customer_id",
      orderBy: [{ column: "invoice_date", direction: "desc" }],
      limit: 2,
      fields: { invoiceId: { type: "integer", column: "invoice_id" } },
    },
    big: {
      hasMany: "invoice",
      foreignKey: "customer_id",
      where: [{ column: "total", op: "gte", value: 10 }],
      fields: { invoiceId: { type: "integer", column: "invoice_id" } },
    },
    invoiceCount: { count: "invoice", foreignKey: "customer_id" },
    spent: { sum: "invoice", ...invoiceTotals },
    largest: { max: "invoice", ...invoiceTotals },
    smallest: { min: "invoice", ...invoiceTotals },
    lastInvoice: { max: "invoice", column: "invoice_date", foreignKey: "customer_id" },
    bigInvoices: {
      count: "invoice",
      foreignKey: "customer_id",
      where: [{ column: "total", op: "gte", value: 10 }],
    },
    spentSince2023: {
      sum: "invoice",
      ...invoiceTotals,
      where: [{ column: "invoice_date", op: "gte", value: "2023-01-01" }],
    },
    largestSmall: {
      max: "invoice",
      ...invoiceTotals,
      where: [{ any: [{ column: "total", op: "lt", value: 5 }] }],
    },
  },
  settings: oneShard,
};

const person = {
  employeeId: { type: "integer", column: "employee_id" },
  lastName: { type: "text", column: "last_name" },
  title: "keyword",
};
const employees = {
  table: "employee",
  fields: {
    ...person,
    birthDate: { type: "date", column: "birth_date" },
    manager: {
      belongsTo: "employee",
      column: "reports_to",
      fields: {
        ...person,
        manager: { belongsTo: "employee", column: "reports_to", fields: person },
      },
    },
    reports: { hasMany: "employee", foreignKey: "reports_to", fields: person },
    reportCount: { count: "employee", foreignKey: "reports_to" },
  },
  settings: oneShard,
};

const throughPlaylistTrack = {
  through: { table: "playlist_track", leftKey: "track_id", rightKey: "playlist_id" },
};
const tracks = {
  table: "track",
  fields: {
    trackId: { type: "integer", column: "track_id" },
    name: "text",
    composer: "text",
    milliseconds: "integer",
    bytes: "long",
    unitPrice: { type: "decimal", scale: 2, column: "unit_price" },
    album: {
      belongsTo: "album",
      column: "album_id",
      fields: {
        title: "text",
        artist: { belongsTo: "artist", column: "artist_id", fields: { name: "keyword" } },
      },
    },
    genre: { belongsTo: "genre", column: "genre_id", fields: { name: "keyword" } },
    mediaType: { belongsTo: "media_type", column: "media_type_id", fields: { name: "keyword" } },
    playlists: {
      manyToMany: "playlist",
      ...throughPlaylistTrack,
      fields: { playlistId: { type: "integer", column: "playlist_id" }, name: "keyword" },
    },
    playlistIds: { ids: "playlist", ...throughPlaylistTrack },
  },
  settings: oneShard,
};
