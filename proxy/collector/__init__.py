"""The control plane process: drains the rings, enriches and stores records, serves the admin port."""
