"""Reads the trace of a descent: what is wrong, what would help, what it looks like."""
