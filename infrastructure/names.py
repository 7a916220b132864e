"""Names that the parts of the stack share."""

from __future__ import annotations

from open_alchemy.package_database.core.operations import Table


def logical_name(table: Table) -> str:
    """Returns the name of a table in CloudFormation's logical ids, which allow only letters and digits."""
    return table.name.removeprefix("package.").capitalize()
