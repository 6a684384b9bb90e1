"""Payloads in compressed blocks, for every relational backend."""
