"""Input that is refused, and what is forwarded in its place: the bad-input list of the data port,
as data.
"""
