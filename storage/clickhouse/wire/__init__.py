"""Statements to a server: its address, requests and answers."""
