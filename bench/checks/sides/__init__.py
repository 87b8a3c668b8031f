"""The processes of the comparison with other libraries, each run in an environment of its own."""
