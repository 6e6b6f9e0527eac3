-- Whose signed word about people or workloads counts here (RFC 7523 §2.1).
CREATE TABLE trusted_issuer (
    slug       TEXT    NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL CHECK (kind IN ('identity_provider', 'workload')),
    issuer     TEXT    NOT NULL,
    terms      TEXT    NOT NULL,
    disabled   INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (issuer, kind)
) STRICT, WITHOUT ROWID;

-- Whom an issuer means by a subject: one person here.
CREATE TABLE linked_subject (
    trusted_issuer TEXT    NOT NULL REFERENCES trusted_issuer (slug) ON DELETE CASCADE,
    subject        TEXT    NOT NULL,
    user_id        BLOB    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (trusted_issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX linked_subject_person ON linked_subject (user_id);

-- A grant that rests on an issuer's word: one for each issuer, client, subject and resource.
ALTER TABLE access_grant ADD COLUMN trusted_issuer TEXT;
CREATE UNIQUE INDEX grant_asserted ON access_grant (trusted_issuer, client_id, subject, resource)
    WHERE trusted_issuer IS NOT NULL AND state = 'active';
CREATE INDEX grant_asserted_before ON access_grant (trusted_issuer, client_id, subject, resource)
    WHERE trusted_issuer IS NOT NULL;
