"""Enrichment: turn raw bytes into a redacted record with the facts of LLM, MCP and gRPC calls."""
