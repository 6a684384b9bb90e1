"""The ClickHouse backend, spoken to over HTTP. Retention, erasure and the cap on size are being built."""
