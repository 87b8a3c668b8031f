"""Two revisions measured side by side: their files, their processes, and what is measured until the verdict."""
