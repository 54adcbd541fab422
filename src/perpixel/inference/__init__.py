"""Inference: from a model file and images to masks and scores."""
