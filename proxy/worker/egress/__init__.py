"""The port of outgoing calls: a forward proxy that reads some hosts and tunnels to all others."""
