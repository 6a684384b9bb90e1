"""The sub-commands of `sidelog`: one module each, imported only when its command runs."""
