"""Parse the formats of calls: JSON in parts, event-stream frames, NDJSON, charsets, linear
patterns.
"""
