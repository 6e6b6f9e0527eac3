-- Under which issuer's name the database was served last: a server with another name is told so.
CREATE TABLE served (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    issuer TEXT    NOT NULL
) STRICT;
