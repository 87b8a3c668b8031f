"""One cell, measured: set up, prepared, judged, counted and sampled, in this process."""
