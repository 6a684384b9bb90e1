"""How the batches of a collector become rows, once."""
