"""Hyperparameter search as a pure state machine: space, population, breeding, islands, stop."""
