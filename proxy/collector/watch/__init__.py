"""What the collector sees of the running processes and of the places they need, and whether that is
enough.
"""
