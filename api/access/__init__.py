"""Identity and scope of callers: tokens, sessions, host names, scopes, limits."""
