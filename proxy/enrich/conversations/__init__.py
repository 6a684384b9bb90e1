"""Conversations: LLM calls that belong together."""
