"""Images that do not fit in memory: read by windows, predicted by tiles, written behind."""
