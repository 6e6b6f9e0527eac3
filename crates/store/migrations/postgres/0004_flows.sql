-- A grant can be on several resources: the first is in access_grant, the others here and, to be read with it, there.
ALTER TABLE access_grant ADD COLUMN more_resources TEXT NOT NULL DEFAULT '[]';
CREATE TABLE grant_further (
    grant_id UUID NOT NULL REFERENCES access_grant (id) ON DELETE CASCADE,
    resource TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (grant_id, resource)
);
CREATE INDEX grant_further_by_resource ON grant_further (resource);

-- A device waits for a person (RFC 8628). Neither code is here, only what recognises it. Who approves makes a code
-- (table code) with the same digest.
CREATE TABLE device_authorization (
    digest      BYTEA   NOT NULL PRIMARY KEY CHECK (octet_length(digest) = 32),
    user_code   BYTEA   NOT NULL UNIQUE CHECK (octet_length(user_code) = 32),
    client_id   TEXT COLLATE "C" NOT NULL,
    resources   TEXT    NOT NULL,
    scopes      TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    address     TEXT    NOT NULL,
    wait        BIGINT  NOT NULL,
    polled_at   BIGINT,
    denied      BOOLEAN NOT NULL,
    created_at  BIGINT  NOT NULL,
    expires_at  BIGINT  NOT NULL
);
CREATE INDEX device_authorization_expiry ON device_authorization (expires_at);

-- Registration (RFC 7591, RFC 7592): digests of the tokens.
ALTER TABLE client ADD COLUMN registration_token BYTEA CHECK (octet_length(registration_token) = 32);
CREATE TABLE initial_access_token (
    id         UUID   NOT NULL PRIMARY KEY,
    digest     BYTEA  NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    name       TEXT   NOT NULL,
    uses_left  BIGINT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);
