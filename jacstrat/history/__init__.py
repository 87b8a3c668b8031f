"""What became of every case over the commits: a store of results, and the steps in them. Reads records only."""
