"""How names of secrets are found in text, and which of the values that have one are none."""
