"""Suites of trust: what was promised for bad days, tried. docs/trust.md has the figures."""
