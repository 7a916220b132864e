"""The TLS context of a message bus, from the parameters of its URL."""

from __future__ import annotations

import ssl

from ...exceptions import ConfigurationError
from .config import Bus


def tls_context(bus: Bus) -> ssl.SSLContext | None:
    """Returns the TLS context; None if the URL does not select TLS.

    Raises:
        ConfigurationError: A file cannot be read.
    """
    if not any(name.startswith("tls") for name in bus.parameters):
        return None
    try:
        context = ssl.create_default_context(cafile=bus.file("tls_ca"))
        if (certificate := bus.file("tls_certificate")) is not None:
            context.load_cert_chain(certificate, bus.file("tls_key"))
    except OSError as error:  # Of which ssl.SSLError is a class.
        raise ConfigurationError(f"a TLS file of the {bus.scheme} URL cannot be read: {error.strerror}") from None
    return context
