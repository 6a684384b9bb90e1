"""Which regular expressions of the program take more than linear time: automata of their parse
trees, and a judge.
"""
