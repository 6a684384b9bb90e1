"""Deletion of stored rows: retention, erasure, the cap on size."""
