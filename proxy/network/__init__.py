"""What workers and admin ports share of sockets: opening and accepting them, and what only their
kernel knows.
"""
