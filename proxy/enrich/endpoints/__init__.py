"""Which endpoint a request asked for: the template of its path, learned from traffic, or given."""
