"""Tests of what benchmarks compute; nothing here measures."""
