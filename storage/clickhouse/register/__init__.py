"""Data of a ClickHouse store other than records: API keys, views, values of the whole store."""
