"""Stores for tests and development: an in-memory engine and a local DynamoDB server."""
