"""The ClickHouse backend, over an old and a current engine."""
