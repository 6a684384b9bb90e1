"""A release: what the tree says of it, its packages, and what is tagged and uploaded (`make
release`).
"""
