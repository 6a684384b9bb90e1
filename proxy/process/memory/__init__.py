"""Releasing memory of a process: freed memory, and reference cycles."""
