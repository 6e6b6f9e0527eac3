-- Times are seconds since the Unix epoch, digests are raw bytes, lists are JSON text. Names and identifiers
-- compare byte by byte (COLLATE "C"), whatever the language of the database.
-- A step must leave the database usable for a node of the version before it: add, do not rename or remove.

CREATE TABLE resource (
    slug         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    uri          TEXT COLLATE "C" NOT NULL UNIQUE,
    display_name TEXT   NOT NULL,
    scopes       TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL
);

CREATE TABLE client (
    client_id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    source          TEXT    NOT NULL CHECK (source IN ('admin', 'dynamic', 'metadata_document')),
    metadata        TEXT    NOT NULL,
    secrets         TEXT    NOT NULL,
    fingerprint     TEXT    NOT NULL,
    resource_server TEXT COLLATE "C",
    disabled        BOOLEAN NOT NULL,
    created_at      BIGINT  NOT NULL,
    updated_at      BIGINT  NOT NULL
);
CREATE INDEX client_resource_server ON client (resource_server) WHERE resource_server IS NOT NULL;
-- For the sweeper: clients that registered themselves, by when they last did.
CREATE INDEX client_registered ON client (updated_at) WHERE source = 'dynamic';

CREATE TABLE person (
    id            UUID    NOT NULL PRIMARY KEY,
    email         TEXT    NOT NULL,
    email_key     TEXT COLLATE "C" NOT NULL UNIQUE, -- in lower case
    name          TEXT    NOT NULL,
    password_hash TEXT,
    disabled      BOOLEAN NOT NULL,
    created_at    BIGINT  NOT NULL,
    updated_at    BIGINT  NOT NULL
);

CREATE TABLE session (
    id               BYTEA  NOT NULL PRIMARY KEY CHECK (octet_length(id) = 32),
    user_id          UUID   NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    authenticated_at BIGINT NOT NULL,
    methods          TEXT   NOT NULL,
    last_seen_at     BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL
);
CREATE INDEX session_person ON session (user_id);
CREATE INDEX session_expiry ON session (expires_at);

-- One row for each sign-in throttle key; the key itself (an e-mail address, an IP address) is hashed.
CREATE TABLE login_throttle (
    key_digest BYTEA  NOT NULL PRIMARY KEY CHECK (octet_length(key_digest) = 32),
    attempts   BIGINT NOT NULL,
    last_at    BIGINT NOT NULL,
    forget_at  BIGINT NOT NULL
);
CREATE INDEX login_throttle_forget ON login_throttle (forget_at);

CREATE TABLE consent (
    user_id       UUID   NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    client_id     TEXT COLLATE "C" NOT NULL,
    resource      TEXT COLLATE "C" NOT NULL,
    scopes        TEXT   NOT NULL,
    fingerprint   TEXT   NOT NULL,
    redirect_uris TEXT   NOT NULL,
    granted_at    BIGINT NOT NULL,
    PRIMARY KEY (user_id, client_id, resource)
);
CREATE INDEX consent_client ON consent (client_id);
CREATE INDEX consent_resource ON consent (resource);

-- The centre, and the lock for everything that hangs on it: whoever changes a grant or its code holds its row.
-- Rows outlive the person, the client and the resource that they name (no foreign keys): an ended grant is
-- remembered until it is swept. Free room on each page keeps rotations off the indexes (heap-only updates).
CREATE TABLE access_grant (
    id                 UUID     NOT NULL PRIMARY KEY,
    user_id            UUID     NOT NULL,
    subject            TEXT     NOT NULL,
    client_id          TEXT COLLATE "C" NOT NULL,
    resource           TEXT COLLATE "C" NOT NULL,
    scopes             TEXT     NOT NULL,
    state              TEXT     NOT NULL CHECK (state IN ('pending', 'active', 'ended')),
    end_reason         TEXT,
    ended_at           BIGINT,
    created_at         BIGINT   NOT NULL,
    authenticated_at   BIGINT   NOT NULL,
    methods            TEXT     NOT NULL,
    generation         BIGINT   NOT NULL,
    generation_at      BIGINT   NOT NULL,
    earlier            BIGINT[] NOT NULL, -- when the generations before were reached, newest first
    refresh_salt       BYTEA    NOT NULL CHECK (octet_length(refresh_salt) = 16),
    refresh_expires_at BIGINT,
    last_used_at       BIGINT   NOT NULL,
    CHECK ((state = 'ended') = (ended_at IS NOT NULL AND end_reason IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX grant_user ON access_grant (user_id, id);
CREATE INDEX grant_client ON access_grant (client_id, id);
CREATE INDEX grant_resource ON access_grant (resource, id);
-- For the sweeper. Partial and without a column that a rotation writes, so that a rotation touches no index.
CREATE INDEX grant_ended ON access_grant (ended_at) WHERE state = 'ended';
CREATE INDEX grant_pending ON access_grant (created_at) WHERE state = 'pending';
CREATE INDEX grant_refresh_expiry ON access_grant (refresh_expires_at) WHERE state = 'active';
CREATE INDEX grant_without_refresh ON access_grant (created_at) WHERE state = 'active' AND refresh_expires_at IS NULL;

CREATE TABLE code (
    digest         BYTEA   NOT NULL PRIMARY KEY CHECK (octet_length(digest) = 32),
    request_id     BYTEA   NOT NULL UNIQUE CHECK (octet_length(request_id) = 32),
    grant_id       UUID    NOT NULL UNIQUE REFERENCES access_grant (id) ON DELETE CASCADE,
    session_id     BYTEA   NOT NULL,
    client_id      TEXT COLLATE "C" NOT NULL,
    redirect_uri   TEXT    NOT NULL,
    code_challenge TEXT    NOT NULL,
    stay_connected BOOLEAN NOT NULL,
    expires_at     BIGINT  NOT NULL,
    redeemed_at    BIGINT
);
CREATE INDEX code_session ON code (session_id) WHERE redeemed_at IS NULL;
CREATE INDEX code_expiry ON code (expires_at);

CREATE TABLE issuance (
    jti        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    grant_id   UUID   NOT NULL,
    client_id  TEXT COLLATE "C" NOT NULL,
    subject    TEXT   NOT NULL,
    resource   TEXT COLLATE "C" NOT NULL,
    scopes     TEXT   NOT NULL,
    issued_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX issuance_expiry ON issuance (expires_at);

CREATE TABLE signing_key (
    ordinal            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order of adding
    key_id             TEXT COLLATE "C" NOT NULL UNIQUE,
    algorithm          TEXT   NOT NULL,
    sealed_private_key BYTEA  NOT NULL,
    state              TEXT   NOT NULL CHECK (state IN ('active', 'previous')),
    created_at         BIGINT NOT NULL,
    retired_at         BIGINT
);
CREATE UNIQUE INDEX signing_key_one_active ON signing_key (state) WHERE state = 'active';

CREATE TABLE server_secret (
    purpose TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sealed  BYTEA NOT NULL
);

CREATE TABLE admin_key (
    digest     BYTEA  NOT NULL PRIMARY KEY CHECK (octet_length(digest) = 32),
    name       TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

-- Written by every health check: proves that a write reaches the disk.
CREATE TABLE heartbeat (
    id    BIGINT PRIMARY KEY CHECK (id = 1),
    beats BIGINT NOT NULL
);
INSERT INTO heartbeat (id, beats) VALUES (1, 0);
