"""The only door to mpi4py."""
