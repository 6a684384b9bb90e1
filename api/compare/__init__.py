"""Compare two records: differences by path, line and position, and ignored places."""
