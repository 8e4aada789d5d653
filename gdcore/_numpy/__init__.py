"""The meaning of every kernel, in NumPy: same file and function names as src/. Calls NumPy only."""
