"""The search language: from the text that a person types to a search over records."""
