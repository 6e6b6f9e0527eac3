-- Nobody keeps a client's registration access token in memory, and every answer to its owner replaces it: that is no change.
DROP TRIGGER client_changed;
CREATE TRIGGER client_changed AFTER UPDATE ON client
WHEN (OLD.source, OLD.metadata, OLD.secrets, OLD.fingerprint, OLD.resource_server, OLD.disabled)
    IS NOT (NEW.source, NEW.metadata, NEW.secrets, NEW.fingerprint, NEW.resource_server, NEW.disabled)
BEGIN
    UPDATE change_count SET count = count + 1 WHERE id = 1;
END;
