-- A client that changes ends its grants that wait, however many others it has. Read once, during which grants wait to be written.
CREATE INDEX grant_pending_client ON access_grant (client_id) WHERE state = 'pending';
