"""Builds the TLS context of the HTTP client."""

from __future__ import annotations

import ssl
from importlib.util import find_spec
from pathlib import Path

from ....exceptions import ConfigurationError


def make_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Returns a TLS context that verifies the server's certificate and name.

    Args:
        ca_bundle: The file or folder with the trusted certificate authorities; None for those of botocore, so that
            both clients trust the same.

    Raises:
        ConfigurationError: The certificate authorities cannot be read.
    """
    bundle = Path(ca_bundle) if ca_bundle else _default_bundle()
    try:
        return ssl.create_default_context(
            cafile=None if bundle is None or bundle.is_dir() else bundle,
            capath=bundle if bundle is not None and bundle.is_dir() else None,
        )
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the CA bundle {bundle} cannot be read: {error}") from error


def _default_bundle() -> Path | None:
    """Returns the file that botocore trusts, without importing botocore; None, for the system's, without one."""
    for package, name in (("certifi", "cacert.pem"), ("botocore", "cacert.pem")):
        spec = find_spec(package)
        if spec is not None and spec.origin is not None and (file := Path(spec.origin).with_name(name)).is_file():
            return file
    return None
