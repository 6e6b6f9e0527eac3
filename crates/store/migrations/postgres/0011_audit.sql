-- What was changed or refused, by whom and from where. The records of tokens (issuance) tell of the tokens themselves.
-- By time, so that months can be partitions of their own; until then everything is in the default one.
CREATE TABLE audit_event (
    id         UUID   NOT NULL,
    at         BIGINT NOT NULL,
    action     TEXT   NOT NULL,
    refusal    TEXT, -- why not; NULL: it was done
    actor_kind TEXT   NOT NULL,
    actor      TEXT,
    client_id  TEXT COLLATE "C",
    grant_id   UUID,
    subject    TEXT COLLATE "C",
    resource   TEXT,
    target     TEXT,
    request_id TEXT COLLATE "C",
    address    TEXT,
    detail     TEXT   NOT NULL,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE TABLE audit_event_default PARTITION OF audit_event DEFAULT;
CREATE INDEX audit_event_time ON audit_event (at, id);
CREATE INDEX audit_event_client ON audit_event (client_id, at) WHERE client_id IS NOT NULL;
CREATE INDEX audit_event_grant ON audit_event (grant_id, at) WHERE grant_id IS NOT NULL;
CREATE INDEX audit_event_subject ON audit_event (subject, at) WHERE subject IS NOT NULL;
CREATE INDEX audit_event_request ON audit_event (request_id, at) WHERE request_id IS NOT NULL;

CREATE FUNCTION audit_event_is_never_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an audit event is never changed';
END
$$;
CREATE TRIGGER audit_event_is_never_changed BEFORE UPDATE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_event_is_never_changed();
