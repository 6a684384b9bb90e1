"""Two records side by side: what differs, by path, line and position, and what was set apart."""
