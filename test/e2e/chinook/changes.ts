import type { IndexName } from "./expected.ts";

/** A transaction of the application's, and the indexes that it must alter (the others it must not). */
export interface ShopChange {
  readonly name: string;
  readonly sql: string;
  readonly alters: readonly IndexName[];
}

/** An insert and an update of each of the eleven tables: nothing is deleted, no child moves. */
export const CHANGES: readonly ShopChange[] = [
  {
    name: "a new artist",
    sql: "INSERT INTO artist VALUES (276, 'Ännchen & the \"Quoted\" \\ Band')",
    alters: ["artists"],
  },
  {
    name: "an artist's name",
    sql: "UPDATE artist SET name = 'AC⚡DC' WHERE artist_id = 1",
    alters: ["albums", "artists", "tracks"],
  },
  {
    name: "a new album",
    sql: "INSERT INTO album VALUES (348, E'Two\\nlines', 276)",
    alters: ["albums", "artists"],
  },
  {
    name: "an album's title",
    sql: "UPDATE album SET title = title || ' (remastered)' WHERE album_id IN (1, 4, 100)",
    alters: ["albums", "artists", "tracks"],
  },
  {
    name: "new tracks",
    sql: `INSERT INTO track (track_id, name, album_id, media_type_id, genre_id, composer,
        milliseconds, bytes, unit_price)
      VALUES (3504, 'Öffnung', 348, 1, 1, NULL, 1, NULL, 0.50), (3505, '', 348, 2, NULL, '', 2, 3, 9)`,
    alters: ["artists", "tracks"],
  },
  {
    name: "a track's name, price and genre",
    sql: "UPDATE track SET name = 'Balls', unit_price = 1.10, genre_id = 2 WHERE track_id = 2",
    alters: ["artists", "customers", "tracks"],
  },
  { name: "a new genre", sql: "INSERT INTO genre VALUES (26, 'Schlager')", alters: [] },
  {
    name: "the name of a genre of 1,297 tracks",
    sql: "UPDATE genre SET name = 'Rock & Roll' WHERE genre_id = 1",
    alters: ["tracks"],
  },
  { name: "a new media type", sql: "INSERT INTO media_type VALUES (6, 'FLAC')", alters: [] },
  {
    name: "the name of a media type of 3,034 tracks",
    sql: "UPDATE media_type SET name = 'MP3' WHERE media_type_id = 1",
    alters: ["tracks"],
  },
  { name: "a new playlist", sql: "INSERT INTO playlist VALUES (19, 'New')", alters: [] },
  {
    name: "the name of a playlist of 3,290 tracks",
    sql: "UPDATE playlist SET name = 'All music' WHERE playlist_id = 1",
    alters: ["tracks"],
  },
  {
    name: "tracks put on a playlist",
    sql: "INSERT INTO playlist_track SELECT 19, track_id FROM track WHERE track_id % 7 = 0",
    alters: ["tracks"],
  },
  {
    name: "a junction's row written again",
    sql: "UPDATE playlist_track SET track_id = track_id WHERE playlist_id = 19",
    alters: [],
  },
  {
    name: "a new employee",
    sql: `INSERT INTO employee (employee_id, last_name, first_name, title, reports_to)
      VALUES (9, 'Ngũgĩ', 'Wanjirũ', 'Sales Support Agent', 2)`,
    alters: ["employees"],
  },
  {
    name: "the title of an employee with a manager, reports and no customers",
    sql: "UPDATE employee SET title = 'Head of Sales', last_name = 'Edwards-Ray' " +
      "WHERE employee_id = 2",
    alters: ["employees"],
  },
  {
    name: "the name of an employee who supports customers",
    sql: "UPDATE employee SET last_name = 'Peacock-Hen' WHERE employee_id = 3",
    alters: ["customers", "employees"],
  },
  {
    name: "a new customer",
    sql: `INSERT INTO customer (customer_id, first_name, last_name, email, support_rep_id)
      VALUES (60, 'Ada', 'Løvelace', 'Ada@Example.org', NULL)`,
    alters: ["customers"],
  },
  {
    name: "a customer's company and support employee",
    sql: "UPDATE customer SET company = 'Engines', support_rep_id = 9 WHERE customer_id IN (1, 60)",
    alters: ["customers"],
  },
  {
    name: "a new invoice",
    sql: `INSERT INTO invoice (invoice_id, customer_id, invoice_date, total)
      VALUES (413, 60, '2026-02-28 23:59:59', 10.00)`,
    alters: ["customers"],
  },
  {
    name: "invoices' totals, over and under what filters ask for",
    sql: "UPDATE invoice SET total = 15 - total WHERE customer_id = 2 AND total < 15",
    alters: ["customers"],
  },
  {
    name: "new lines",
    sql: "INSERT INTO invoice_line VALUES (2241, 413, 3504, 0.50, 20), (2242, 1, 1, 0.99, 1)",
    alters: ["customers"],
  },
  {
    name: "lines' quantities",
    sql: "UPDATE invoice_line SET quantity = quantity + 1 WHERE invoice_line_id % 10 = 0",
    alters: ["customers"],
  },
  {
    name: "an order with everything new, in one transaction",
    sql: `INSERT INTO artist VALUES (277, 'Newcomer');
      INSERT INTO album VALUES (349, 'Debut', 277);
      INSERT INTO track (track_id, name, album_id, media_type_id, genre_id, milliseconds, unit_price)
        VALUES (3506, 'First', 349, 6, 26, 1000, 2.00);
      INSERT INTO playlist_track VALUES (19, 3506), (1, 3506);
      INSERT INTO customer (customer_id, first_name, last_name, email, support_rep_id)
        VALUES (61, 'Bo', 'Li', 'bo@example.org', 2);
      INSERT INTO invoice (invoice_id, customer_id, invoice_date, total)
        VALUES (414, 61, '2026-03-01', 2.00);
      INSERT INTO invoice_line VALUES (2243, 414, 3506, 2.00, 1);
      UPDATE employee SET title = 'General Director' WHERE employee_id = 1`,
    alters: ["albums", "artists", "customers", "employees", "tracks"],
  },
];

export const WHILE_DOWN: ShopChange = {
  name: "a change made while it was down",
  sql:
    `UPDATE track SET composer = 'Unknown', milliseconds = milliseconds + 1 WHERE composer IS NULL;
    INSERT INTO invoice_line VALUES (2244, 1, 2, 1.10, 3)`,
  alters: ["artists", "customers", "tracks"],
};

export const WHILE_DOWN_AGAIN: ShopChange = {
  name: "another change made while it was down",
  sql: "UPDATE employee SET first_name = 'Maggie', title = 'Agent' WHERE employee_id = 4",
  alters: ["customers", "employees"],
};
