"""Formats that calls are read from (JSON in parts, event-stream frames, NDJSON), and how they are
searched. Pure.
"""
