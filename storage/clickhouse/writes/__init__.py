"""Store the batches of a collector as rows, each exactly once."""
