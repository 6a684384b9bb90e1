"""What a ClickHouse store keeps beside records: API keys, views, values of the store as a whole."""
