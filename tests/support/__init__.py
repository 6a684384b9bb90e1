"""What tests share: real processes, real sockets, upstreams that misbehave on purpose."""
