"""HTTP/2 as a pure codec for both sides of the data port: bytes in, events out; the rules are in
RULES.md.
"""
