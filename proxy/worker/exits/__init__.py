"""Responses to clients: one exit for each protocol."""
