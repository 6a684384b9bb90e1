"""The search language: from what a person types to a search over records."""
