"""Records as files: NDJSON, CSV and HAR, and bodies that were cut written as one text."""
