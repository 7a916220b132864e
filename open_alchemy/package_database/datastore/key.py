"""The key of an entity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ..engines.postgresql.datastore_entities import EPOCH_MILLISECONDS, SEQUENCE_BITS, SHARD_BITS
from ..exceptions import ValidationError

BITS: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=EPOCH_MILLISECONDS)


@dataclass(frozen=True, order=True, slots=True)
class Key:
    """A key of 64 bits. Keys of one shard are ordered by the time at which they were made.

    Args:
        id: The key as a number, from 0 to 2**64 - 1.

    Raises:
        ValidationError: ``id`` is not such a number.
    """

    id: int

    def __post_init__(self) -> None:
        id_: object = self.id
        if isinstance(id_, bool) or not isinstance(id_, int) or not 0 <= id_ < 1 << BITS:
            raise ValidationError("the id of a key must be an int from 0 to 2**64 - 1")

    @property
    def created(self) -> datetime:
        """When the key was made, in UTC, to the millisecond: the first 41 bits."""
        return _EPOCH + timedelta(milliseconds=self.id >> SHARD_BITS + SEQUENCE_BITS)

    @property
    def shard_id(self) -> int:
        """The number of the shard: the next 13 bits."""
        return self.id >> SEQUENCE_BITS & (1 << SHARD_BITS) - 1

    @property
    def added_id(self) -> int:
        """The number within the millisecond: the last 10 bits."""
        return self.id & (1 << SEQUENCE_BITS) - 1
