"""The ClickHouse backend, spoken to over HTTP. Not offered by `storage.backends` yet: it cannot be read from."""
