-- Other authorization servers that get identity assertions (ID-JAG) of this one.
CREATE TABLE assertion_audience (
    slug       TEXT    NOT NULL PRIMARY KEY,
    issuer     TEXT    NOT NULL UNIQUE,
    terms      TEXT    NOT NULL,
    disabled   INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
