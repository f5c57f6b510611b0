"""Job scripts: templates, the sites they are for, and Slurm's own commands."""
