"""What is decided about a request before it needs an upstream: its route, its caller, how much is
recorded.
"""
