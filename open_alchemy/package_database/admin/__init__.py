"""An operator's work on whole tables: export, import, checksums and upgrade. Imports no store."""
