"""Outer rules: pure functions on flat float32 fragments, one file per paper."""
