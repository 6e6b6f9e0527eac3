-- An initial access token ends with its last use, and is removed when it ended long ago. When those were used up that are, nobody
-- knows any more.
UPDATE initial_access_token SET expires_at = extract(epoch FROM now())::bigint
    WHERE uses_left = 0 AND (expires_at IS NULL OR expires_at > extract(epoch FROM now())::bigint);
CREATE INDEX initial_access_token_expiry ON initial_access_token (expires_at);
