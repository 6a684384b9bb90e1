"""Text by name in the formats of files: YAML, markup, settings, separated values; and documents
within others.
"""
