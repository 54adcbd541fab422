"""Image files → samples → batches."""
