"""Tests of the contracts, over every backend."""
