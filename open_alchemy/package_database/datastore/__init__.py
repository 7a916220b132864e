"""Entities under 64-bit keys, in the shards of a PostgreSQL database.

db = Datastore([dict(shards="1-9", host="db1", dbname="a"), dict(shards="9-17", host="db2", dbname="a")])
key = db.put(12, 1, beep="boop")
db.get(key)
"""

from .async_datastore import AsyncDatastore
from .key import Key
from .sync_datastore import Datastore

__all__ = ["AsyncDatastore", "Datastore", "Key"]
