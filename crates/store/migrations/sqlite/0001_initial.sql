-- Times are seconds since the Unix epoch, ids and digests are raw bytes, lists are JSON text.
-- Only types that PostgreSQL has too.

CREATE TABLE resource (
    slug         TEXT    NOT NULL PRIMARY KEY,
    uri          TEXT    NOT NULL UNIQUE,
    display_name TEXT    NOT NULL,
    scopes       TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE client (
    client_id       TEXT    NOT NULL PRIMARY KEY,
    source          TEXT    NOT NULL CHECK (source IN ('admin', 'dynamic', 'metadata_document')),
    metadata        TEXT    NOT NULL,
    secrets         TEXT    NOT NULL,
    fingerprint     TEXT    NOT NULL,
    resource_server TEXT,
    disabled        INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX client_resource_server ON client (resource_server) WHERE resource_server IS NOT NULL;

CREATE TABLE person (
    id            BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    email         TEXT    NOT NULL,
    email_key     TEXT    NOT NULL UNIQUE, -- in lower case
    name          TEXT    NOT NULL,
    password_hash TEXT,
    disabled      INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    id               BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    user_id          BLOB    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    authenticated_at INTEGER NOT NULL,
    methods          TEXT    NOT NULL,
    last_seen_at     INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_user ON session (user_id);
CREATE INDEX session_expiry ON session (expires_at);

-- One row for each sign-in throttle key; the key itself (an e-mail address, an IP address) is hashed.
CREATE TABLE login_throttle (
    key_digest BLOB    NOT NULL PRIMARY KEY CHECK (length(key_digest) = 32),
    attempts   INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    forget_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_throttle_forget ON login_throttle (forget_at);

CREATE TABLE consent (
    user_id       BLOB    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    client_id     TEXT    NOT NULL,
    resource      TEXT    NOT NULL,
    scopes        TEXT    NOT NULL,
    fingerprint   TEXT    NOT NULL,
    redirect_uris TEXT    NOT NULL,
    granted_at    INTEGER NOT NULL,
    PRIMARY KEY (user_id, client_id, resource)
) STRICT, WITHOUT ROWID;
CREATE INDEX consent_client ON consent (client_id);
CREATE INDEX consent_resource ON consent (resource);

-- The centre. Rows outlive the person, the client and the resource that they name (no foreign keys): an
-- ended grant is remembered until it is swept.
CREATE TABLE access_grant (
    id                 BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id            BLOB    NOT NULL,
    subject            TEXT    NOT NULL,
    client_id          TEXT    NOT NULL,
    resource           TEXT    NOT NULL,
    scopes             TEXT    NOT NULL,
    state              TEXT    NOT NULL CHECK (state IN ('pending', 'active', 'ended')),
    end_reason         TEXT,
    ended_at           INTEGER,
    created_at         INTEGER NOT NULL,
    authenticated_at   INTEGER NOT NULL,
    methods            TEXT    NOT NULL,
    generation         INTEGER NOT NULL,
    generation_at      INTEGER NOT NULL,
    earlier            BLOB    NOT NULL, -- when the generations before were reached, newest first, 8 bytes each
    refresh_salt       BLOB    NOT NULL CHECK (length(refresh_salt) = 16),
    refresh_expires_at INTEGER,
    last_used_at       INTEGER NOT NULL,
    CHECK ((state = 'ended') = (ended_at IS NOT NULL AND end_reason IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX grant_user ON access_grant (user_id, id);
CREATE INDEX grant_client ON access_grant (client_id, id);
CREATE INDEX grant_resource ON access_grant (resource, id);
-- For the sweeper. Partial, so that a rotation touches no index.
CREATE INDEX grant_ended ON access_grant (ended_at) WHERE state = 'ended';
CREATE INDEX grant_pending ON access_grant (created_at) WHERE state = 'pending';
CREATE INDEX grant_refresh_expiry ON access_grant (refresh_expires_at) WHERE state = 'active';
CREATE INDEX grant_last_use ON access_grant (last_used_at) WHERE state = 'active' AND refresh_expires_at IS NULL;

CREATE TABLE code (
    digest         BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    request_id     BLOB    NOT NULL UNIQUE CHECK (length(request_id) = 32),
    grant_id       BLOB    NOT NULL UNIQUE REFERENCES access_grant (id) ON DELETE CASCADE,
    session_id     BLOB    NOT NULL,
    client_id      TEXT    NOT NULL,
    redirect_uri   TEXT    NOT NULL,
    code_challenge TEXT    NOT NULL,
    stay_connected INTEGER NOT NULL CHECK (stay_connected IN (0, 1)),
    expires_at     INTEGER NOT NULL,
    redeemed_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX code_session ON code (session_id) WHERE redeemed_at IS NULL;
CREATE INDEX code_expiry ON code (expires_at);

CREATE TABLE issuance (
    jti        TEXT    NOT NULL PRIMARY KEY,
    grant_id   BLOB    NOT NULL,
    client_id  TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    resource   TEXT    NOT NULL,
    scopes     TEXT    NOT NULL,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX issuance_expiry ON issuance (expires_at);

CREATE TABLE signing_key (
    ordinal            INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of adding
    key_id             TEXT    NOT NULL UNIQUE,
    algorithm          TEXT    NOT NULL,
    sealed_private_key BLOB    NOT NULL,
    state              TEXT    NOT NULL CHECK (state IN ('active', 'previous')),
    created_at         INTEGER NOT NULL,
    retired_at         INTEGER
) STRICT;
CREATE UNIQUE INDEX signing_key_one_active ON signing_key (state) WHERE state = 'active';

CREATE TABLE server_secret (
    purpose TEXT NOT NULL PRIMARY KEY,
    sealed  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE admin_key (
    digest     BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Written by every health check: proves that a write reaches the disk.
CREATE TABLE heartbeat (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    beats INTEGER NOT NULL
) STRICT;
INSERT INTO heartbeat (id, beats) VALUES (1, 0);
