"""What requests, and calls of tools, have in common: sums by endpoint or by any other field."""
