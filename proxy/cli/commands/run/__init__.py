"""`sidelog run`: a command, and a sidelog between it and the providers of models."""
