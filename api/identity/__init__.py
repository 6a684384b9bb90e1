"""When two requests are the same: for mocks, suites, and the success that a failure is compared
with.
"""
