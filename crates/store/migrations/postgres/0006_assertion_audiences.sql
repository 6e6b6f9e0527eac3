-- Other authorization servers that get identity assertions (ID-JAG) of this one.
CREATE TABLE assertion_audience (
    slug       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    issuer     TEXT COLLATE "C" NOT NULL UNIQUE,
    terms      TEXT    NOT NULL,
    disabled   BOOLEAN NOT NULL,
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL
);
