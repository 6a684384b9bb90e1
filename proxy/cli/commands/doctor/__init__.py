"""`sidelog doctor`: its checks, and what they find."""
