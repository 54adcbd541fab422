"""A model behind HTTP: what it takes, how requests wait and are computed, and what it answers."""
