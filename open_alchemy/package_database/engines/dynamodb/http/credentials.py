"""Whose signature a request gets: credentials of the environment, or what botocore's resolver finds and refreshes.

botocore is imported only where the environment holds no credentials of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..config import Credentials, DynamoDBConfig, environment_credentials


class Source(Protocol):
    """Where credentials come from."""

    def at_hand(self) -> Credentials | None:
        """Returns the credentials, or None where they must be fetched first. Does no I/O."""

    def fetch(self) -> Credentials | None:
        """Fetches, or refreshes, the credentials, and returns them, or None where there are none. May do I/O.

        Raises:
            Exception: What botocore raises.
        """


class Given:
    """Credentials that stay as they are."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def at_hand(self) -> Credentials:
        """Returns the credentials."""
        return self._credentials

    fetch = at_hand


class Resolved:
    """Credentials of botocore's resolver, which refreshes them before they expire."""

    def __init__(self) -> None:
        self._found: Any = None
        # One value, which threads replace as a whole.
        self._frozen: tuple[Any, Credentials | None] = (None, None)

    def at_hand(self) -> Credentials | None:
        """Returns the credentials, or None where they must be fetched first."""
        found = self._found
        if found is None or (hasattr(found, "refresh_needed") and found.refresh_needed()):
            return None
        return self._frozen[1]

    def fetch(self) -> Credentials | None:
        """Has botocore find the credentials, or refresh them if it is time."""
        from botocore.session import get_session

        from ..log_redaction import discretion, silence_libraries

        with discretion():
            if self._found is None:
                session = get_session()
                silence_libraries()
                self._found = session.get_credentials()
            if self._found is None:
                return None
            frozen = self._found.get_frozen_credentials()
        known, credentials = self._frozen
        if frozen is not known:
            credentials = Credentials(frozen.access_key, frozen.secret_key, frozen.token)
            self._frozen = (frozen, credentials)
        return credentials


def find_source(config: DynamoDBConfig, environment: Mapping[str, str]) -> Source:
    """Returns where the credentials of a configuration come from."""
    if config.credentials is not None:
        return Given(config.credentials)
    credentials = environment_credentials(environment)
    # Credentials with an end are read anew from the environment, by botocore.
    if credentials is not None and not environment.get("AWS_CREDENTIAL_EXPIRATION"):
        return Given(credentials)
    return Resolved()
