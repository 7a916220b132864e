"""What SQL stores share: statements, conditions on old items and transactions as generators. No I/O."""
