"""Healthy traffic beside one hostile connection: `python -m bench.hostile`."""
