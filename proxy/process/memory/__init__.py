"""What a process gives back: freed memory, and what is left in cycles."""
