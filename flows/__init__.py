"""Prefect flows and the command line: the top of the stack."""
