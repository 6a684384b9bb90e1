"""Mutation fuzzing of the data port: grammar-aware input, several parsers as judges (`python -m
tests.fuzz`).
"""
