"""Statements to a server: where it is, what is sent, what comes back."""
