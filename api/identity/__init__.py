"""Identity of requests: for mocks, for suites, and to find the last success for a failure."""
