"""Jobs: LLM calls that are answered later (background responses, batches, operations).

The tokens of a job are counted once, in the record of the call that began it.
"""
