"""The stores: each engine executes operations, and imports no access pattern."""
