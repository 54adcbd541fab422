"""A dataset read once: what it holds, and all that is wrong with it."""
