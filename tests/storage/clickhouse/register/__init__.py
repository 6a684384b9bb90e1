"""The register of a ClickHouse store."""
