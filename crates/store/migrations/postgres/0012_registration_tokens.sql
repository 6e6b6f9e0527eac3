-- Nobody keeps a client's registration access token in memory, and every answer to its owner replaces it: that is no change.
DROP TRIGGER client_changed ON client;
CREATE CONSTRAINT TRIGGER client_changed AFTER UPDATE ON client
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.source, OLD.metadata, OLD.secrets, OLD.fingerprint, OLD.resource_server, OLD.disabled)
        IS DISTINCT FROM (NEW.source, NEW.metadata, NEW.secrets, NEW.fingerprint, NEW.resource_server, NEW.disabled))
    EXECUTE FUNCTION count_change(1);
