"""What outgoing calls are read with: an authority of our own, and the certificates it signs."""
