-- A grant can be on several resources: the first is in access_grant, the others here and, to be read with it, there.
ALTER TABLE access_grant ADD COLUMN more_resources TEXT NOT NULL DEFAULT '[]';
CREATE TABLE grant_further (
    grant_id BLOB NOT NULL REFERENCES access_grant (id) ON DELETE CASCADE,
    resource TEXT NOT NULL,
    PRIMARY KEY (grant_id, resource)
) STRICT, WITHOUT ROWID;
CREATE INDEX grant_further_by_resource ON grant_further (resource);

-- A device waits for a person (RFC 8628). Neither code is here, only what recognises it. Who approves makes a code
-- (table code) with the same digest.
CREATE TABLE device_authorization (
    digest      BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    user_code   BLOB    NOT NULL UNIQUE CHECK (length(user_code) = 32),
    client_id   TEXT    NOT NULL,
    resources   TEXT    NOT NULL,
    scopes      TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    address     TEXT    NOT NULL,
    wait        INTEGER NOT NULL,
    polled_at   INTEGER,
    denied      INTEGER NOT NULL CHECK (denied IN (0, 1)),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX device_authorization_expiry ON device_authorization (expires_at);

-- Registration (RFC 7591, RFC 7592): digests of the tokens.
ALTER TABLE client ADD COLUMN registration_token BLOB CHECK (length(registration_token) = 32);
CREATE TABLE initial_access_token (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    digest     BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    name       TEXT    NOT NULL,
    uses_left  INTEGER,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;
