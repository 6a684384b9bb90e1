"""Memos of heads that were read before, whole or with gaps for the fields that vary."""
