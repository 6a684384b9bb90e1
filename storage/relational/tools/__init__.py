"""Tool calls for every relational backend: rows and filters."""
