"""Compiled arithmetic: arrays in, arrays out. numpy and numba, nothing else."""
