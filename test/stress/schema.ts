/**
 * What the writers write to. `v` names a committed version of a row: no two writes share one. The
 * triggers of the outboxes stand for an application that writes its hints in the same transaction.
 */
export const SCHEMA = `
CREATE SEQUENCE item_v;
CREATE TABLE item (
  id bigint PRIMARY KEY,
  v bigint NOT NULL,
  note text NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE INDEX item_updated_at ON item (updated_at, id);
CREATE FUNCTION item_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.v := nextval('item_v');
  NEW.updated_at := now();
  RETURN NEW;
END $$;
CREATE TRIGGER item_touch BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION item_touch();

CREATE TABLE outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  ref text NOT NULL,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_xid ON outbox (xid, id);
CREATE INDEX outbox_created_at ON outbox (created_at, id);
CREATE TABLE claimed (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  ref text NOT NULL,
  processed_at timestamptz
);
CREATE INDEX claimed_waiting ON claimed (id) WHERE processed_at IS NULL;
CREATE FUNCTION item_hint() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  key text := coalesce(NEW.id, OLD.id)::text;
BEGIN
  INSERT INTO outbox (kind, ref) VALUES ('item', key);
  INSERT INTO claimed (kind, ref) VALUES ('item', key);
  RETURN NULL;
END $$;
CREATE TRIGGER item_hint AFTER INSERT OR UPDATE OR DELETE ON item
  FOR EACH ROW EXECUTE FUNCTION item_hint();
`;
