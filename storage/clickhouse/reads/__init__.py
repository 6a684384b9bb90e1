"""Reads: the session for shared reads, and the rows it can see."""
