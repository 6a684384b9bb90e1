"""The index of words: which cells, each about a hundred neighbouring records, may have a word.
Pure.
"""
