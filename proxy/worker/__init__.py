"""The data plane process: accepts clients, forwards to upstreams, pushes a record of each exchange
into its ring.
"""
