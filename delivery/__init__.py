"""Commands of the delivery. The workflows in ``.github/workflows`` call them through ``scripts/``.

They never import the package: the production tests test the installed release, not the repository.
"""
