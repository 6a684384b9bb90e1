"""MCP tool calls: JSON-RPC, sessions, names, errors."""
