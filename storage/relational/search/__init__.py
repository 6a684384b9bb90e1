"""Searches over SQL: the conditions of a filter, and the rows that SQL alone cannot find."""
