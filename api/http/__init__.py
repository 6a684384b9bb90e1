"""Shared by all requests and responses of the admin port: parameters, pages, cursors, times,
errors.
"""
