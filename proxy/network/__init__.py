"""What workers and admin ports share of sockets: accepting them, and what only their kernel knows."""
