"""Heads that were read before, whole or but for what differs in each message."""
