"""Who the caller is, and which part of the log it may see: tokens, sessions, host names, scopes,
limits.
"""
