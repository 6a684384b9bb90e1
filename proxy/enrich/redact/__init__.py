"""What is secret in a record is found and replaced here. Pure."""
