"""The vocabulary that everything else is written in: stdlib only, no I/O, no clock."""
