"""State of the running parts as operators, probes, scrapers and webhooks see it."""
