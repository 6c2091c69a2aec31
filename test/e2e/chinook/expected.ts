import type postgres from "postgres";
import { type Documents, sqlDocuments } from "../../support/truth.ts";

export const INDEXES = ["albums", "artists", "customers", "employees", "tracks"] as const;
export type IndexName = typeof INDEXES[number];

/** What every index should hold now, by SQL written by hand: one scalar sub-query a relation. */
export async function expectedDocuments(
  sql: postgres.Sql,
): Promise<Readonly<Record<IndexName, Documents>>> {
  return await sql.begin("isolation level repeatable read", async (snapshot) => {
    const found: Partial<Record<IndexName, Documents>> = {};
    for (const index of INDEXES) found[index] = await sqlDocuments(snapshot, QUERIES[index]);
    return found as Record<IndexName, Documents>;
  }) as Record<IndexName, Documents>;
}

const QUERIES: Readonly<Record<IndexName, string>> = {
  albums: `
    SELECT al.album_id::text AS id, jsonb_build_object(
      'albumId', al.album_id,
      'title', al.title,
      'artist', (SELECT jsonb_build_object('name', ar.name)
        FROM artist ar WHERE ar.artist_id = al.artist_id)
    )::text AS document FROM album al`,

  artists: `
    SELECT ar.artist_id::text AS id, jsonb_build_object(
      'artistId', ar.artist_id,
      'name', ar.name,
      'albumCount', (SELECT count(*) FROM album al WHERE al.artist_id = ar.artist_id),
      'albums', coalesce((
        SELECT jsonb_agg(jsonb_build_object(
          'albumId', al.album_id,
          'title', al.title,
          'trackCount', (SELECT count(*) FROM track t WHERE t.album_id = al.album_id),
          'playTime', coalesce((SELECT sum(t.milliseconds) FROM track t
            WHERE t.album_id = al.album_id), 0),
          'tracks', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
              'trackId', t.track_id,
              'name', t.name,
              'milliseconds', t.milliseconds,
              'unitPrice', t.unit_price
            ) ORDER BY t.track_id) FROM track t WHERE t.album_id = al.album_id
          ), '[]')
        ) ORDER BY al.album_id) FROM album al WHERE al.artist_id = ar.artist_id
      ), '[]')
    )::text AS document FROM artist ar`,

  customers: `
    SELECT c.customer_id::text AS id, jsonb_build_object(
      'customerId', c.customer_id,
      'name', concat(c.first_name, ' ', c.last_name),
      'email', lower(c.email),
      'company', coalesce(c.company, '(private)'),
      'address', jsonb_build_object('city', c.city, 'country', c.country),
      'support', (SELECT jsonb_build_object(
          'name', concat(e.first_name, ' ', e.last_name), 'title', e.title)
        FROM employee e WHERE e.employee_id = c.support_rep_id),
      'invoices', coalesce((
        SELECT jsonb_agg(jsonb_build_object(
          'invoiceId', i.invoice_id,
          'date', to_char(i.invoice_date, 'YYYY-MM-DD"T"HH24:MI:SS'),
          'total', i.total,
          'lines', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
              'invoiceLineId', l.invoice_line_id,
              'quantity', l.quantity,
              'unitPrice', l.unit_price,
              'track', (SELECT jsonb_build_object('name', t.name)
                FROM track t WHERE t.track_id = l.track_id)
            ) ORDER BY l.invoice_line_id) FROM invoice_line l WHERE l.invoice_id = i.invoice_id
          ), '[]')
        ) ORDER BY i.invoice_date DESC, i.invoice_id)
        FROM invoice i WHERE i.customer_id = c.customer_id
      ), '[]'),
      'latest', coalesce((
        SELECT jsonb_agg(jsonb_build_object('invoiceId', ranked.invoice_id) ORDER BY place)
        FROM (SELECT i.invoice_id,
            row_number() OVER (ORDER BY i.invoice_date DESC, i.invoice_id) AS place
          FROM invoice i WHERE i.customer_id = c.customer_id) ranked WHERE place <= 2
      ), '[]'),
      'big', coalesce((
        SELECT jsonb_agg(jsonb_build_object('invoiceId', i.invoice_id) ORDER BY i.invoice_id)
        FROM invoice i WHERE i.customer_id = c.customer_id AND i.total >= 10
      ), '[]'),
      'invoiceCount', (SELECT count(*) FROM invoice i WHERE i.customer_id = c.customer_id),
      'spent', coalesce((SELECT sum(i.total) FROM invoice i
        WHERE i.customer_id = c.customer_id), 0),
      'largest', (SELECT i.total FROM invoice i
        WHERE i.customer_id = c.customer_id ORDER BY i.total DESC LIMIT 1),
      'smallest', (SELECT i.total FROM invoice i
        WHERE i.customer_id = c.customer_id ORDER BY i.total LIMIT 1),
      'lastInvoice', (SELECT to_char(i.invoice_date, 'YYYY-MM-DD"T"HH24:MI:SS') FROM invoice i
        WHERE i.customer_id = c.customer_id ORDER BY i.invoice_date DESC LIMIT 1),
      'bigInvoices', (SELECT count(*) FROM invoice i
        WHERE i.customer_id = c.customer_id AND i.total >= 10),
      'spentSince2023', coalesce((SELECT sum(i.total) FROM invoice i
        WHERE i.customer_id = c.customer_id AND extract(year FROM i.invoice_date) >= 2023), 0),
      'largestSmall', (SELECT i.total FROM invoice i
        WHERE i.customer_id = c.customer_id AND i.total < 5 ORDER BY i.total DESC LIMIT 1)
    )::text AS document FROM customer c`,

  employees: `
    SELECT e.employee_id::text AS id, jsonb_build_object(
      'employeeId', e.employee_id,
      'lastName', e.last_name,
      'title', e.title,
      'birthDate', to_char(e.birth_date, 'YYYY-MM-DD"T"HH24:MI:SS'),
      'manager', (SELECT jsonb_build_object(
          'employeeId', m.employee_id,
          'lastName', m.last_name,
          'title', m.title,
          'manager', (SELECT jsonb_build_object(
              'employeeId', g.employee_id, 'lastName', g.last_name, 'title', g.title)
            FROM employee g WHERE g.employee_id = m.reports_to))
        FROM employee m WHERE m.employee_id = e.reports_to),
      'reports', coalesce((
        SELECT jsonb_agg(jsonb_build_object(
            'employeeId', r.employee_id, 'lastName', r.last_name, 'title', r.title)
          ORDER BY r.employee_id) FROM employee r WHERE r.reports_to = e.employee_id
      ), '[]'),
      'reportCount', (SELECT count(*) FROM employee r WHERE r.reports_to = e.employee_id)
    )::text AS document FROM employee e`,

  tracks: `
    SELECT t.track_id::text AS id, jsonb_build_object(
      'trackId', t.track_id,
      'name', t.name,
      'composer', t.composer,
      'milliseconds', t.milliseconds,
      'bytes', t.bytes,
      'unitPrice', t.unit_price,
      'album', (SELECT jsonb_build_object(
          'title', al.title,
          'artist', (SELECT jsonb_build_object('name', ar.name)
            FROM artist ar WHERE ar.artist_id = al.artist_id))
        FROM album al WHERE al.album_id = t.album_id),
      'genre', (SELECT jsonb_build_object('name', g.name)
        FROM genre g WHERE g.genre_id = t.genre_id),
      'mediaType', (SELECT jsonb_build_object('name', m.name)
        FROM media_type m WHERE m.media_type_id = t.media_type_id),
      'playlists', coalesce((
        SELECT jsonb_agg(jsonb_build_object('playlistId', p.playlist_id, 'name', p.name)
          ORDER BY p.playlist_id)
        FROM playlist p WHERE p.playlist_id IN (
          SELECT x.playlist_id FROM playlist_track x WHERE x.track_id = t.track_id)
      ), '[]'),
      'playlistIds', coalesce((SELECT jsonb_agg(x.playlist_id ORDER BY x.playlist_id)
        FROM playlist_track x WHERE x.track_id = t.track_id), '[]')
    )::text AS document FROM track t`,
};
