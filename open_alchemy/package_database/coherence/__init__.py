"""Cache coherence over several brokers: state machines without I/O, clock or randomness.

docs/caching.md describes the guarantee, and how an owner drives ``broker.Broker`` and ``cache.ClientCache``.
"""
