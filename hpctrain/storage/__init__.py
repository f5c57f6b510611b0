"""The run store: logs, HDF5 files, checkpoints. The only door to h5py."""
