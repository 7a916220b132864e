"""Stores for tests and development: an in-memory model and a local DynamoDB server."""
