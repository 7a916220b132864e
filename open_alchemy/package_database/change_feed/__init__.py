"""The changes that a broker publishes, read by its clients."""
