"""What runs an algorithm: driver, simulator, recording and replay. Ports only: no MPI, no files."""
