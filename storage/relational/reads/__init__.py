"""Lists, counts, facets and sums over a `Session`: written once for every SQL backend."""
