"""Benchmarks of the package and its peers: ``python -m benchmarks``. ``docs/performance.md`` contains the results."""
