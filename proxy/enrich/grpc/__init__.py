"""gRPC: what its calls said of themselves, and what their messages hold."""
