"""What is decided of a request before an upstream is asked for: its route, its caller, what of it is recorded."""
