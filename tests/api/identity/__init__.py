"""Tests of when two requests are the same."""
