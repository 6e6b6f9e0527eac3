-- A row of every transaction that may have to be asked about when its COMMIT gets no answer. By the server's own clock, in seconds.
CREATE TABLE transaction_mark (
    made_at BIGINT NOT NULL DEFAULT extract(epoch FROM now())::bigint,
    id      UUID   NOT NULL DEFAULT gen_random_uuid(),
    PRIMARY KEY (made_at, id)
);
