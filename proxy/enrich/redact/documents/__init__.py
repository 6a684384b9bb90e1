"""Redact file formats by name: YAML, markup, settings, separated values, and documents within
others.
"""
