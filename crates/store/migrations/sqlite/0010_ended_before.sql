-- What counts once and was made before this second is refused: an operator has ended everything that was given out, because
-- the database was put back to an earlier state and does not know what was used since.
ALTER TABLE revocation_log ADD COLUMN ended_before INTEGER NOT NULL DEFAULT 0;
