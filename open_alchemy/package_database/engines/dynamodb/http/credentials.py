"""The credentials that sign requests: those of the environment, or those that botocore finds and refreshes.

botocore is imported only if the environment has no credentials.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..config import Credentials, DynamoDBConfig, environment_credentials


class Source(Protocol):
    """A source of credentials."""

    def cached(self) -> Credentials | None:
        """Returns the credentials, or None if they must be fetched first. Does no I/O."""

    def fetch(self) -> Credentials | None:
        """Fetches or refreshes the credentials and returns them, or None if there are none. May do I/O.

        Raises:
            Exception: What botocore raises.
        """


class StaticCredentials:
    """Credentials that do not change."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def cached(self) -> Credentials:
        """Returns the credentials."""
        return self._credentials

    fetch = cached


class BotocoreCredentials:
    """Credentials that botocore finds, and refreshes before they expire."""

    def __init__(self) -> None:
        self._found: Any = None
        # One value, so that threads replace it as a whole.
        self._frozen: tuple[Any, Credentials | None] = (None, None)

    def cached(self) -> Credentials | None:
        """Returns the credentials, or None if they must be fetched first."""
        found = self._found
        if found is None or (hasattr(found, "refresh_needed") and found.refresh_needed()):
            return None
        return self._frozen[1]

    def fetch(self) -> Credentials | None:
        """Finds the credentials, or refreshes them shortly before they expire."""
        from ..botocore_session import make_session
        from ..log_redaction import silence_libraries, suppress_library_logs

        with suppress_library_logs():
            if self._found is None:
                session = make_session()
                silence_libraries()
                self._found = session.get_credentials()
            if self._found is None:
                return None
            frozen = self._found.get_frozen_credentials()
        known, credentials = self._frozen
        if frozen is not known:
            credentials = Credentials(frozen.access_key, frozen.secret_key, frozen.token).checked()
            self._frozen = (frozen, credentials)
        return credentials


def find_source(config: DynamoDBConfig, environment: Mapping[str, str]) -> Source:
    """Returns the source of the credentials of a configuration."""
    if config.credentials is not None:
        return StaticCredentials(config.credentials)
    credentials = environment_credentials(environment)
    # botocore reads credentials that expire from the environment again.
    if credentials is not None and not environment.get("AWS_CREDENTIAL_EXPIRATION"):
        return StaticCredentials(credentials)
    return BotocoreCredentials()
