-- Issued tokens in partitions by time, so that what is past its use goes with its whole partition. A token's id begins with
-- the time (UUID version 7), and text of this form sorts by it: an id leads to its one partition, and is unique. What has
-- another id, or came when its partition was not there, is in the default one: all that was issued before this step.
-- Nothing is copied or read here, so the locks are short however much there is.
DROP TRIGGER token_revoked ON issuance;
ALTER TABLE issuance RENAME TO issuance_default;
ALTER INDEX issuance_pkey RENAME TO issuance_default_pkey;
ALTER INDEX issuance_expiry RENAME TO issuance_default_expiry;
ALTER INDEX issuance_parent RENAME TO issuance_default_parent;

CREATE TABLE issuance (LIKE issuance_default, CONSTRAINT issuance_pkey PRIMARY KEY (jti)) PARTITION BY RANGE (jti);
CREATE INDEX issuance_expiry ON issuance (expires_at);
CREATE INDEX issuance_parent ON issuance (parent) WHERE parent IS NOT NULL;
ALTER TABLE issuance ATTACH PARTITION issuance_default DEFAULT;

-- In a partition's trigger the table has the partition's name.
CREATE FUNCTION log_token_revocation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1146573381);
    INSERT INTO revocation (jti, revoked_at) VALUES (NEW.jti, NEW.revoked_at);
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER token_revoked AFTER UPDATE OF revoked_at ON issuance
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL) EXECUTE FUNCTION log_token_revocation();

-- A page of the grants on a resource begins where the page before ended.
CREATE INDEX grant_further_page ON grant_further (resource, grant_id);
