"""Which LLM calls belong together."""
