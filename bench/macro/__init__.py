"""sidelog beside nginx, HAProxy and an aiohttp forwarder, under the same load on the same machine."""
