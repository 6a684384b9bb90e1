"""Tests of the programs to try sidelog with."""
