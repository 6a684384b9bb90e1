"""Reads the rings: sources, slices, rules that leave records out, and the loop that moves entries."""
