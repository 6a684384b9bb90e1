"""The configuration: its declarations, where values come from, what is checked of them."""
