"""The DynamoDB operations that the package sends to each table. A test compares them with the engine's requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from aws_cdk.aws_dynamodb import Operation

from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS

Operations: TypeAlias = tuple[Operation, ...]

READS: Final[Operations] = (Operation.GET_ITEM, Operation.QUERY)
WRITES: Final[Mapping[str, Operations]] = {
    SPECS.name: (Operation.TRANSACT_WRITE_ITEMS,),
    CREDENTIALS.name: (Operation.TRANSACT_WRITE_ITEMS,),
}
