"""Pictures: what each shows, as a value, and matplotlib's drawing of it."""
