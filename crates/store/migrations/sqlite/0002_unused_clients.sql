-- For the sweeper: clients that registered themselves, by when they last did.
CREATE INDEX client_registered ON client (updated_at) WHERE source = 'dynamic';
