"""Reads: the session that shared reads run over, and which rows it sees."""
