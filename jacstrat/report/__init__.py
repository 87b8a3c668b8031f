"""What a reader sees of records: answers, tables and plots. Reads records only, so it works without torch."""
