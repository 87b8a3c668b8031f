"""Where cells are measured: in children of a fork server, in this process, on a cluster."""
