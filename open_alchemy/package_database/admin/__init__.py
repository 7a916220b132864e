"""What an operator does with whole tables: export, import and upgrade. Knows the tables, and no store."""
