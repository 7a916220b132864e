"""Renders the objects of the async API from those of the sync API."""

from __future__ import annotations

import re
from pathlib import Path

from open_alchemy.package_database.objects import async_objects, sync_objects

SOURCE = Path(sync_objects.__file__)
PAGE = Path(async_objects.__file__)

_CLASSES = "User|Specs|Spec|Versions|Version|CredentialsById|Credentials"
_REPLACEMENTS = (
    (
        r'^""".*?"""\n',
        '"""The objects of the async API.\n\nWritten by ``python -m docs.generate``; do not edit it.\n"""\n',
    ),
    # A container that only defines __getitem__ is iterated over with 0, 1, 2 and so on.
    (r"    def __contains__\(.*?\n\n(?=    def)", ""),
    (
        r"    def __iter__\(",
        "    __contains__: ClassVar[None] = None\n    __iter__: ClassVar[None] = None\n\n    def __iter__(",
    ),
    (r"from typing import ", "from typing import ClassVar, "),
    (r"\bdef __iter__\(", "def __aiter__("),
    (r"\bIterator\b", "AsyncIterator"),
    (r"\bdef (?=__getitem__|__aiter__|get\b|refresh|update)", "async def "),
    (r"\bfor (\w+) in self\._database\b", r"async for \1 in self._database"),
    (r"from \.\.types import TDatabase, ", "from ..async_types import TDatabase\nfrom ..types import "),
    (r"\bTDatabase\b", "AsyncTDatabase"),
    (r"\bimport run\b", "import run_async"),
    (r"\brun\(", "await run_async("),
    (rf"(?<!\"\"\")\b({_CLASSES})\b", r"Async\1"),
)


def render() -> str:
    """Returns the text of async_objects.py, not formatted."""
    text = SOURCE.read_text(encoding="utf-8")
    for pattern, replacement in _REPLACEMENTS:
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    return text
