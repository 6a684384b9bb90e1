"""Redaction: find the secrets of a record and replace them before it is stored."""
