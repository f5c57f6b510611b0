"""Drawings of a search, one message each."""
