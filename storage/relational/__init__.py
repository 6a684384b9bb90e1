"""Code that the SQL backends share: filters as SQL, rollups, payload blocks, usage, facets."""
