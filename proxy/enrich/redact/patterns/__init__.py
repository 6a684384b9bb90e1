"""Redaction by format: find known secrets in every encoding that a body nests."""
