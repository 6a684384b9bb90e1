"""Sockets for workers and admin ports: opening, accepting, and asking the kernel about them."""
