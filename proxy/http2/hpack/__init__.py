"""Field compression (RFC 7541): a strict decoder with a dynamic table, and an encoder without one."""
