"""The root and the users of both APIs. Performs no request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

UserType = TypeVar("UserType")
UserType_co = TypeVar("UserType_co", covariant=True)


class Users(Generic[UserType_co]):
    """The users, by their unique ids (``sub``). The database does not list them, nor which of them exist.

    Args:
        make: Returns the user with an id.
    """

    def __init__(self, make: Callable[[str], UserType_co]) -> None:
        self._make = make

    def __repr__(self) -> str:
        return "<Users>"

    def __getitem__(self, sub: str) -> UserType_co:
        """Returns a user, who need not have any spec or credentials."""
        return self._make(sub)

    def __iter__(self) -> NoReturn:
        """Raises ``TypeError``."""
        raise TypeError("users cannot be listed: the database finds specs and credentials by the id of their user")

    def __contains__(self, sub: object) -> NoReturn:
        """Raises ``TypeError``."""
        iter(self)

    __aiter__ = __iter__


@dataclass(frozen=True, slots=True)
class Root(Generic[UserType]):
    """The object from which all others are reached."""

    users: Users[UserType]
