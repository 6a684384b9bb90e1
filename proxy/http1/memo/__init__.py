"""Looks up heads that were read before, whole or with other values in the fields that vary."""
