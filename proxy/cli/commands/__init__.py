"""What the sub-commands of `sidelog` do; one module each, imported only when its command runs."""
