"""Alerts: figures of the log against thresholds, and the webhooks that are called."""
