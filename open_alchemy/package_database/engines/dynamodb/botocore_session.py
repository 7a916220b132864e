"""Makes botocore's sessions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.session import Session


def make_session() -> Session:
    """Returns a botocore session. It ignores config files that it must not read, where botocore would raise."""
    from botocore.session import Session

    session = Session()
    for variable in ("config_file", "credentials_file"):
        path = os.path.expanduser(session.get_config_variable(variable))  # noqa: PTH111 (Path raises without a home)
        if not os.access(path, os.R_OK):
            session.set_config_variable(variable, os.devnull)
    return session
