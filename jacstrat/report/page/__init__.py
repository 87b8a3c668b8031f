"""The page of a run: one file of HTML with its style, its script and its plots in it."""
