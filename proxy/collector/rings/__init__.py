"""Reading of rings: sources, slices, what is left out, and the loop that moves them."""
