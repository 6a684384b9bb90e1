"""Status, metadata and messages of gRPC calls."""
