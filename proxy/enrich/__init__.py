"""From raw bytes to a redacted record: heads, bodies, secrets, LLM and MCP calls. Pure."""
