"""Fakes of model providers, on their public wire formats."""
