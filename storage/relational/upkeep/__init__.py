"""Deleting records: retention, the cap on size and erasure, a slice at a time."""
