"""What the harness is held to, each a target and a figure; docs/measuring.md says why."""
