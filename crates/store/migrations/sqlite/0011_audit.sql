-- What was changed or refused, by whom and from where. The records of tokens (issuance) tell of the tokens themselves.
CREATE TABLE audit_event (
    id         BLOB    NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    action     TEXT    NOT NULL,
    refusal    TEXT, -- why not; NULL: it was done
    actor_kind TEXT    NOT NULL,
    actor      TEXT,
    client_id  TEXT,
    grant_id   BLOB,
    subject    TEXT,
    resource   TEXT,
    target     TEXT,
    request_id TEXT,
    address    TEXT,
    detail     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_event_time ON audit_event (at, id);
CREATE INDEX audit_event_client ON audit_event (client_id, at) WHERE client_id IS NOT NULL;
CREATE INDEX audit_event_grant ON audit_event (grant_id, at) WHERE grant_id IS NOT NULL;
CREATE INDEX audit_event_subject ON audit_event (subject, at) WHERE subject IS NOT NULL;
CREATE INDEX audit_event_request ON audit_event (request_id, at) WHERE request_id IS NOT NULL;

CREATE TRIGGER audit_event_is_never_changed BEFORE UPDATE ON audit_event
BEGIN
    SELECT RAISE(ABORT, 'an audit event is never changed');
END;
