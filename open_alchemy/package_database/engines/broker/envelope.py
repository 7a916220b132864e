"""The envelope of a request: all but the content of its body. A broker that refuses it decodes no more of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, Union

from msgspec import Meta, Struct, defstruct

from .messages import MAX_ID, VERSION, Administer, Call, Get, Query, Scan, Transact

_BODIES: Final = {
    defstruct(type_.__name__, [], frozen=True, array_like=True, tag=type_.__struct_config__.tag): type_
    for type_ in (Get, Query, Scan, Transact, Call, Administer)
}
"""Structs with the tags of bodies, but no fields, and the types of the bodies: a decoder ignores further elements."""
if TYPE_CHECKING:
    _Body: TypeAlias = Struct
else:
    _Body = Union[tuple(_BODIES)]  # noqa: UP007 (their number is not written here)


class Envelope(Struct, frozen=True, array_like=True):
    """The envelope of a request that may have to wait; see ``Request``."""

    version: Annotated[int, Meta(ge=VERSION, le=VERSION)]
    id: Annotated[int, Meta(ge=1, le=MAX_ID)]
    sent: float
    seconds: float
    body: _Body
    instance: str = ""
    read: Any = None

    @property
    def type(self) -> type[Struct]:
        """The type of the body."""
        return _BODIES[type(self.body)]
