-- Under which issuer's name the database was served last: two servers with different names on one database hurt each other,
-- and are told so.
CREATE TABLE served (
    id     BIGINT PRIMARY KEY CHECK (id = 1),
    issuer TEXT   NOT NULL
);
