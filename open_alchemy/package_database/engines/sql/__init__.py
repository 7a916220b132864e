"""What SQL stores share: statements and transactions, without I/O."""
