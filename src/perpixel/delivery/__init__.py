"""What leaves perpixel for others to look at."""
