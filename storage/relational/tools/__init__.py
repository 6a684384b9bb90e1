"""Rows of tool calls, and filters of them, for every relational backend."""
