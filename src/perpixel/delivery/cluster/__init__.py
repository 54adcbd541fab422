"""Prediction of large collections on many machines: images from any store, masks and one manifest
into any store, by workers on a Ray cluster that may be lost at any moment."""
