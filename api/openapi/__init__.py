"""/openapi.json, generated from the structs that handlers return."""
