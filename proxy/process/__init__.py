"""What every process of sidelog stands on: sockets, descriptors, event loop, logs and data
directory.
"""
