"""Who asks, and what of the log is there for them: tokens, sessions, host names, scopes, limits."""
