"""Text search: what a word is, and what it means that a text has a word or a phrase."""
