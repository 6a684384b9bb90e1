"""Where records live: the stored record, the storage contract, its backends, the batch writer."""
