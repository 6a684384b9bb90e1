"""What a batch needs to be written, for every relational backend."""
