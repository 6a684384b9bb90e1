"""Whole runs of sidelog: real processes, real traffic."""
