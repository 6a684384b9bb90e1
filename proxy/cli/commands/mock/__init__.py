"""`sidelog mock`: a service that is not there, answered for from what was recorded of it."""
