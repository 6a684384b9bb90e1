"""Fakes of model providers beyond those of the demo, on their public wire formats."""
