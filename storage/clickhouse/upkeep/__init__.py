"""Deletion of stored rows: retention, erasure, the size cap."""
