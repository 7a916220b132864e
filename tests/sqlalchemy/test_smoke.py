from __future__ import annotations
import transaction
from sqlalchemy import text
from open_alchemy import package_database
from open_alchemy.package_database.sqlalchemy import get_session, get_table
from open_alchemy.package_database.instances.instance import Instance
from tests.sqlalchemy.conftest import notes


def test_smoke(instance: Instance) -> None:
    table = get_table("notes")
    get_session().execute(table.insert(), {"text": "a"})
    assert get_session() is get_session()
    assert notes() == []
    transaction.commit()
    assert notes() == ["a"]


def test_shards(shards_instance: Instance) -> None:
    package_database.get().create_update_spec(sub="u1", name="x", version="1", model_count=1)
    specs = get_table("package.specs", sub="u1")
    rows = get_session(sub="u1").execute(specs.select()).all()
    assert len(rows) == 2
    package_database.get().close() if hasattr(package_database.get(), "close") else None
