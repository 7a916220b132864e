"""The documentation site: MkDocs reads ``mkdocs.yml`` in the root folder and the hooks here."""
