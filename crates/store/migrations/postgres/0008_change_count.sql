-- How often what nodes keep in memory has changed (clients, resources, signing keys, policies). Triggers count and notify,
-- so that no way to change something is forgotten, also by a node of the version before. A client that is added changes
-- nothing that anybody remembers.
CREATE TABLE change_count (
    id    BIGINT PRIMARY KEY,
    kind  TEXT   NOT NULL UNIQUE,
    count BIGINT NOT NULL
);
INSERT INTO change_count (id, kind, count)
VALUES (1, 'client', 0), (2, 'resource', 0), (3, 'signing_key', 0), (4, 'policy', 0);

-- Runs at the commit, under the lock of the log of revocations: the last thing that a transaction waits for, so nobody
-- waits in a circle. Once a transaction, however many rows it changes. The argument is the row's id.
CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1146573381);
    UPDATE change_count SET count = count + 1
    WHERE id = TG_ARGV[0]::bigint AND xmin <> pg_current_xact_id()::xid;
    PERFORM pg_notify('doorward_change', TG_ARGV[0]);
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER client_changed AFTER UPDATE ON client
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.source, OLD.metadata, OLD.secrets, OLD.fingerprint, OLD.resource_server, OLD.disabled, OLD.registration_token)
        IS DISTINCT FROM (NEW.source, NEW.metadata, NEW.secrets, NEW.fingerprint, NEW.resource_server, NEW.disabled, NEW.registration_token))
    EXECUTE FUNCTION count_change(1);
CREATE CONSTRAINT TRIGGER client_removed AFTER DELETE ON client
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION count_change(1);
CREATE CONSTRAINT TRIGGER resource_changed AFTER INSERT OR UPDATE OR DELETE ON resource
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION count_change(2);
CREATE CONSTRAINT TRIGGER signing_key_changed AFTER INSERT OR UPDATE OR DELETE ON signing_key
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION count_change(3);
CREATE CONSTRAINT TRIGGER trusted_issuer_changed AFTER INSERT OR UPDATE OR DELETE ON trusted_issuer
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION count_change(4);
CREATE CONSTRAINT TRIGGER assertion_audience_changed AFTER INSERT OR UPDATE OR DELETE ON assertion_audience
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION count_change(4);

-- The log counts itself, by its positions.
CREATE FUNCTION tell_of_revocations() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('doorward_change', '0');
    RETURN NULL;
END
$$;
CREATE TRIGGER revocation_added AFTER INSERT ON revocation
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_revocations();
