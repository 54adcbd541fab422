"""Exports and the runtimes that compute them."""
