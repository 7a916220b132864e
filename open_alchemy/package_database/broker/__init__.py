"""The broker: serves the messages of ``engines.broker`` in front of any store."""
