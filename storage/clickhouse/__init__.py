"""The ClickHouse backend, spoken to over HTTP."""
