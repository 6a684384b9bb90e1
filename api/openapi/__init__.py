"""/openapi.json, from the structs that handlers answer with."""
