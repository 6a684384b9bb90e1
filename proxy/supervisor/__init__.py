"""The parent process: binds the sockets, starts and restarts workers and collector. Standard
library only.
"""
