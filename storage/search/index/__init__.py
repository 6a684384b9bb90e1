"""The index of words: which cells, each some hundred neighbouring records, can have a word. Pure."""
