"""The command line, `sidelog`."""
