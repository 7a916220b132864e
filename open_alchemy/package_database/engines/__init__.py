"""The stores: each carries out the vocabulary, and knows no access pattern."""
