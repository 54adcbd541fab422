"""What a prediction looks like: over its image, with a legend, or in a terminal."""
