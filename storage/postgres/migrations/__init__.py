"""Numbered SQL files, applied in order, each in a transaction; file 0001 makes version 1."""
