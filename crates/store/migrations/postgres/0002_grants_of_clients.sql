-- What counts once, on all nodes: proofs of possession, client assertions.
CREATE TABLE spent (
    digest     BYTEA  NOT NULL PRIMARY KEY CHECK (octet_length(digest) = 32),
    expires_at BIGINT NOT NULL
);
CREATE INDEX spent_expiry ON spent (expires_at);

-- What an operator demands of tokens for a resource, as JSON.
ALTER TABLE resource ADD COLUMN policy TEXT NOT NULL DEFAULT '{}';

-- The thumbprint of the key that a code, and the refresh tokens of a public client, are bound to (RFC 9449).
ALTER TABLE code ADD COLUMN dpop_jkt TEXT;
ALTER TABLE access_grant ADD COLUMN dpop_jkt TEXT;

-- The token that this one was exchanged from (RFC 8693).
ALTER TABLE issuance ADD COLUMN parent TEXT COLLATE "C";
CREATE INDEX issuance_parent ON issuance (parent) WHERE parent IS NOT NULL;

-- A grant without a person is a client's own: one for each client, subject and resource.
CREATE UNIQUE INDEX grant_own ON access_grant (client_id, subject, resource)
    WHERE user_id = '00000000-0000-0000-0000-000000000000' AND state = 'active';
