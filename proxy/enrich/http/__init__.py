"""Facts of heads and bodies: what was asked, of whom, in which coding. Pure."""
