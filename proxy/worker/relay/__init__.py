"""One exchange between a client and an upstream."""
