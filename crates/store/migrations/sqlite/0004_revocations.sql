-- What guards have to hear of, in the order of the commits. Triggers write it, so that no way to end a grant is
-- forgotten. A grant that is pending has no tokens yet.
CREATE TABLE revocation (
    position   INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice
    grant_id   BLOB CHECK (length(grant_id) = 16),
    jti        TEXT,
    client_id  TEXT,
    revoked_at INTEGER NOT NULL,
    CHECK ((grant_id IS NOT NULL) + (jti IS NOT NULL) + (client_id IS NOT NULL) = 1)
) STRICT;

-- The log's name (no secret: another database has another one), and up to where it is forgotten.
CREATE TABLE revocation_log (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    name      TEXT    NOT NULL,
    forgotten INTEGER NOT NULL
) STRICT;
INSERT INTO revocation_log (id, name, forgotten) VALUES (1, lower(hex(randomblob(8))), 0);

CREATE TRIGGER grant_revoked AFTER UPDATE OF state ON access_grant
WHEN OLD.state = 'active' AND NEW.state = 'ended'
BEGIN
    INSERT INTO revocation (grant_id, revoked_at) VALUES (NEW.id, NEW.ended_at);
END;

CREATE TRIGGER token_revoked AFTER UPDATE OF revoked_at ON issuance
WHEN OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL
BEGIN
    INSERT INTO revocation (jti, revoked_at) VALUES (NEW.jti, NEW.revoked_at);
END;

CREATE TRIGGER client_disabled AFTER UPDATE OF disabled ON client
WHEN OLD.disabled = 0 AND NEW.disabled = 1
BEGIN
    INSERT INTO revocation (client_id, revoked_at) VALUES (NEW.client_id, NEW.updated_at);
END;
