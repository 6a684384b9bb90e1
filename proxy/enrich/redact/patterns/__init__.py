"""Secrets that are known by their looks, in every encoding that a body nests."""
