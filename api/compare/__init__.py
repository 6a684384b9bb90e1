"""Two records side by side: their differences by path, line and position, and ignored places."""
