-- Which key signs follows from these times, on every node alike.
ALTER TABLE signing_key ADD COLUMN signs_from BIGINT NOT NULL DEFAULT 0;
ALTER TABLE signing_key ADD COLUMN revoked_at BIGINT;
UPDATE signing_key SET signs_from = created_at;
DROP INDEX signing_key_one_active;
ALTER TABLE signing_key DROP COLUMN state;
ALTER TABLE signing_key DROP COLUMN retired_at;
