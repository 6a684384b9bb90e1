"""Endpoints: path templates, learned from traffic or configured."""
