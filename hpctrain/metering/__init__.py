"""Joules at run time: sensors, their series, a sampler per host, shares of ranks, and money.

It reads files and clocks, and knows no MPI, no store and no torch.
"""
