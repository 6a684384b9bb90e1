"""Code shared by the SQL backends: filters as SQL, rollups, payload blocks, usage, facets."""
