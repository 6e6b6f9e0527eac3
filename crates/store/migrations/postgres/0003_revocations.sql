-- What guards have to hear of, in the order of the commits. Triggers write it, so that no way to end a grant is
-- forgotten, also by a node of the version before. A grant that is pending has no tokens yet.
CREATE TABLE revocation (
    position   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    grant_id   UUID,
    jti        TEXT COLLATE "C",
    client_id  TEXT COLLATE "C",
    revoked_at BIGINT NOT NULL,
    CHECK (num_nonnulls(grant_id, jti, client_id) = 1)
);

-- The log's name (no secret: another database has another one), and up to where it is forgotten.
CREATE TABLE revocation_log (
    id        BIGINT PRIMARY KEY CHECK (id = 1),
    name      TEXT   NOT NULL,
    forgotten BIGINT NOT NULL
);
INSERT INTO revocation_log (id, name, forgotten) VALUES (1, left(md5(gen_random_uuid()::text), 16), 0);

-- Runs at the commit, and one transaction at a time from then on: whoever reads a position has seen all before it.
-- It is the last thing that a transaction waits for, so nobody waits in a circle.
CREATE FUNCTION log_revocation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1146573381);
    IF TG_TABLE_NAME = 'access_grant' THEN
        INSERT INTO revocation (grant_id, revoked_at) VALUES (NEW.id, NEW.ended_at);
    ELSIF TG_TABLE_NAME = 'issuance' THEN
        INSERT INTO revocation (jti, revoked_at) VALUES (NEW.jti, NEW.revoked_at);
    ELSE
        INSERT INTO revocation (client_id, revoked_at) VALUES (NEW.client_id, NEW.updated_at);
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER grant_revoked AFTER UPDATE OF state ON access_grant
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.state = 'active' AND NEW.state = 'ended') EXECUTE FUNCTION log_revocation();
CREATE CONSTRAINT TRIGGER token_revoked AFTER UPDATE OF revoked_at ON issuance
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL) EXECUTE FUNCTION log_revocation();
CREATE CONSTRAINT TRIGGER client_disabled AFTER UPDATE OF disabled ON client
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NOT OLD.disabled AND NEW.disabled) EXECUTE FUNCTION log_revocation();
