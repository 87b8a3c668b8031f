"""What everybody speaks of, so that no room has to know another one for it. Imports neither torch nor any room."""
