"""Parse, decode and redact the heads and bodies of a captured exchange."""
