"""`sidelog mock`: stands in for a service with its recorded answers."""
