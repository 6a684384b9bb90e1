"""Heads and bodies of a captured exchange: parsed, content codings undone, redacted. Pure."""
