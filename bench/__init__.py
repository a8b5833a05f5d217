"""Benchmarks of the collector and of its peers: `python -m bench --help`."""
