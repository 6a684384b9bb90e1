"""Text search: words, phrases, and how they match a stored text."""
