"""The operator's view of many runs: what each used, sums, idle GPUs, Slurm beside it."""
