"""The commands of the delivery: what the workflows in ``.github/workflows`` decide and do, and a developer may do too.

They deliver the package and are no part of it: nothing of it is imported here, so that what is tested is what was
released, and never what lies in the repository.
"""
