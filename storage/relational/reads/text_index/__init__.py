"""The index of words in the tables of a database: made behind the commits, read before rows are."""
