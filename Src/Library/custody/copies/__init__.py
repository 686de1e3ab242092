"""Copies of the vault elsewhere. Whoever wants one original's good bytes back asks `fetching.fetch`."""
