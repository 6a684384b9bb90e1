"""Secret names in text: find them, and recognise values under them that are not secret."""
