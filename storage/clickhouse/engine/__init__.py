"""What servers of different versions can do."""
