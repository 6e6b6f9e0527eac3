-- How often what is kept in memory has changed (clients, resources, signing keys, policies). Triggers count, so that no
-- way to change something is forgotten. A client that is added changes nothing that anybody remembers.
CREATE TABLE change_count (
    id    INTEGER PRIMARY KEY,
    kind  TEXT    NOT NULL UNIQUE,
    count INTEGER NOT NULL
) STRICT;
INSERT INTO change_count (id, kind, count)
VALUES (1, 'client', 0), (2, 'resource', 0), (3, 'signing_key', 0), (4, 'policy', 0);

CREATE TRIGGER client_changed AFTER UPDATE ON client
WHEN (OLD.source, OLD.metadata, OLD.secrets, OLD.fingerprint, OLD.resource_server, OLD.disabled, OLD.registration_token)
    IS NOT (NEW.source, NEW.metadata, NEW.secrets, NEW.fingerprint, NEW.resource_server, NEW.disabled, NEW.registration_token)
BEGIN
    UPDATE change_count SET count = count + 1 WHERE id = 1;
END;
CREATE TRIGGER client_removed AFTER DELETE ON client BEGIN
    UPDATE change_count SET count = count + 1 WHERE id = 1;
END;

CREATE TRIGGER resource_added AFTER INSERT ON resource BEGIN
    UPDATE change_count SET count = count + 1 WHERE id = 2;
END;
CREATE TRIGGER resource_changed AFTER UPDATE ON resource BEGIN
    UPDATE change_count SET count = count + 1 WHERE id = 2;
END;
CREATE TRIGGER resource_removed AFTER DELETE ON resource BEGIN
    UPDATE change_count SET count = count + 1 WHERE id = 2;
END;

CREATE TRIGGER signing_key_added AFTER INSERT ON signing_key BEGIN
    UPDATE change_count SET count = count + 1 WHERE id = 3;
END;
CREATE TRIGGER signing_key_changed AFTER UPDATE ON signing_key BEGIN
    UPDATE change_count SET count = count + 1 WHERE id = 3;
END;
CREATE TRIGGER signing_key_removed AFTER DELETE ON signing_key BEGIN
    UPDATE change_count SET count = count + 1 WHERE id = 3;
END;

CREATE TRIGGER trusted_issuer_added AFTER INSERT ON trusted_issuer BEGIN
    UPDATE change_count SET count = count + 1 WHERE id = 4;
END;
CREATE TRIGGER trusted_issuer_changed AFTER UPDATE ON trusted_issuer BEGIN
    UPDATE change_count SET count = count + 1 WHERE id = 4;
END;
CREATE TRIGGER trusted_issuer_removed AFTER DELETE ON trusted_issuer BEGIN
    UPDATE change_count SET count = count + 1 WHERE id = 4;
END;
CREATE TRIGGER assertion_audience_added AFTER INSERT ON assertion_audience BEGIN
    UPDATE change_count SET count = count + 1 WHERE id = 4;
END;
CREATE TRIGGER assertion_audience_changed AFTER UPDATE ON assertion_audience BEGIN
    UPDATE change_count SET count = count + 1 WHERE id = 4;
END;
CREATE TRIGGER assertion_audience_removed AFTER DELETE ON assertion_audience BEGIN
    UPDATE change_count SET count = count + 1 WHERE id = 4;
END;
