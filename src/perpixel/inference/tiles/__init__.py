"""Tiles that score as the whole image does: where they lie, how large, and what they cost."""
