"""Calls that answer later: background responses, batches, operations. Counted once, tied to what
began them. Pure.
"""
