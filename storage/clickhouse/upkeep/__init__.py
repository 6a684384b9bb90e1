"""What is done to rows that are stored: retention, erasure, the cap on size."""
