"""Foundations of every process of sidelog: sockets, descriptors, event loop, logs, data directory."""
