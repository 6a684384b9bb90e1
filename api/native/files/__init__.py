"""Records as files: NDJSON, CSV and HAR, with cut bodies written as one text."""
