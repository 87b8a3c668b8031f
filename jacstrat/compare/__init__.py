"""Verdicts on two sets of records: what became wrong, dearer or slower, and what cannot be said. Reads records only."""
