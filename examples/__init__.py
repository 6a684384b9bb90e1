"""Programs to try sidelog with."""
