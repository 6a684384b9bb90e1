"""Calls of language models: provider, model, tokens, cost. One file a provider. Pure."""
