"""Compiled kernels; the build fills this package from src/."""
