"""LLM calls: provider, model, tokens and cost of each. One file per provider."""
