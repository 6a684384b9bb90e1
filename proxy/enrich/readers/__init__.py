"""The readers of protocols, one a module, and the list of them."""
