"""Tests of the SQLite backend, beyond the contract."""
