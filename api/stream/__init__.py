"""The live tail: committed records as server-sent events that resume without gaps."""
