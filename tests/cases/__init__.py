"""Small functions that are hard to differentiate: every exact strategy is right about them, or says that it is not."""
