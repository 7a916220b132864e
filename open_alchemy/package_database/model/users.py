"""The access pattern over all tables."""

from __future__ import annotations

from ..core.operations import Steps
from .access_pattern import access_pattern
from .credentials import delete_all_credentials
from .specs import delete_all_specs


@access_pattern("Delete all that is stored for a user.", unbounded=True)
def delete_all(*, sub: str) -> Steps[None]:
    """Deletes all of the user's credentials and specs.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.

    Raises:
        ConflictError: The call lost against other writers of one of the specs or credentials until the deadline.
    """
    # Deletes the credentials first, so that none of them can read a partly deleted user.
    yield from delete_all_credentials.steps(sub=sub)
    yield from delete_all_specs.steps(sub=sub)
