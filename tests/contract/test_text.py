"""Every valid text is read back unchanged, and no two ids share a key."""

from __future__ import annotations

from uuid import uuid4

from hypothesis import example, given, settings
from hypothesis import strategies as st

from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.model.keys import LATEST, SECONDS_DIGITS, padded, record_keys, spec_id
from open_alchemy.package_database.model.validation import MAX_SPEC_ID_BYTES
from tests.canary import HASH, SALT
from tests.pairwise import is_long

PIECES = [
    "#",
    "latest",
    "latest#",
    "0" * SECONDS_DIGITS,
    "😀",
    "\u202e",
    "é",
    "e\u0301",
    "İ",
    "ß",
    "A",
    "a",
    "-",
    ".",
]
texts = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20),
)
HARD = ["a", "a#", "#a", "latest", "latest#a", f"a#{'0' * SECONDS_DIGITS}", "İ", "e\u0301"]
FEW = settings(max_examples=100 if is_long() else 2)
"""Without ``--long`` each store gets the hard texts and two examples; with it, each draws others."""


@FEW
@example(names=HARD, text="\u202e😀")
@given(names=st.lists(texts, min_size=1, max_size=4, unique_by=spec_id), text=texts)
def test_specs_of_any_name_are_read_back_and_are_independent(database: TDatabase, names: list[str], text: str) -> None:
    sub = f"{text}{uuid4()}"
    for number, name in enumerate(names):
        database.create_update_spec(
            sub=sub, name=name, version=text, model_count=number, title=text, description=f"{text}{name}"
        )

    for number, name in enumerate(names):
        (info,) = database.list_spec_versions(sub=sub, name=name)
        assert (info["id"], info["name"], info["version"], info["title"]) == (spec_id(name), name, text, text)
        assert (info["model_count"], info["description"]) == (number, f"{text}{name}")
        assert database.get_spec(sub=sub, name=name) == info
    database.delete_spec(sub=sub, name=names[0])
    ids = [info["id"] for info in database.list_specs(sub=sub)]
    assert ids == sorted(map(spec_id, names[1:]), key=str.encode)


@FEW
@example(ids=HARD, secret=bytes(range(40)))
@given(ids=st.lists(texts, min_size=1, max_size=4, unique=True), secret=st.binary(max_size=40))
def test_credentials_of_any_id_are_read_back_and_are_independent(
    database: TDatabase, ids: list[str], secret: bytes
) -> None:
    run = str(uuid4())
    for id_ in ids:
        database.create_update_credentials(
            sub=run, id_=id_, public_key=f"{run}{id_}", secret_key_hash=HASH + secret, salt=secret + SALT
        )

    for id_ in ids:
        info = database.get_credentials(sub=run, id_=id_)
        user = database.get_user(public_key=f"{run}{id_}")
        assert info == {"id": id_, "public_key": f"{run}{id_}", "salt": secret + SALT}
        assert user is not None
        assert (user.sub, user.secret_key_hash, user.salt) == (run, HASH + secret, secret + SALT)
    database.delete_credentials(sub=run, id_=ids[0])
    left = [info["id"] for info in database.list_credentials(sub=run)]
    assert left == sorted(ids[1:], key=str.encode)


moments = st.one_of(st.just(LATEST), st.integers(0, 10**SECONDS_DIGITS - 1).map(padded))


@given(one=st.tuples(texts, moments), other=st.tuples(texts, moments))
def test_two_records_never_share_a_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    keys = [record_keys(moment, id_) for id_, moment in (one, other)]

    assert (keys[0] == keys[1]) is (one == other)
    assert (keys[0]["updated_at_id"] == keys[1]["updated_at_id"]) is (one == other)


@given(name=texts)
def test_the_id_of_an_id_is_the_same_id(name: str) -> None:
    assert spec_id(spec_id(name)) == spec_id(name)
    assert len(spec_id(name).encode()) <= MAX_SPEC_ID_BYTES
