"""Alerts: metrics of the log compared with thresholds, and the webhooks that are called."""
