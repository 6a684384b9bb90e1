"""Tests of the side-by-side comparison: reading, dividing, printing."""
