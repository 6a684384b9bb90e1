"""Searches over SQL: what can be said in a condition, and how rows are found that hold what cannot."""
