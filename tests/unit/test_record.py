"""Records behave as frozen dataclasses do."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import pytest

from open_alchemy.package_database.record import hidden, record


@record
class Point:
    x: int
    y: int = 0


@record
class OtherPoint:
    x: int
    y: int = 0


@record(kw_only=True)
class Base:
    kind: ClassVar[str] = "base"
    seconds: float = 5.0


@record
class Login(Base):
    kind: ClassVar[str] = "login"
    user: str
    password: str = hidden()
    token: str | None = hidden(default=None)

    def __post_init__(self) -> None:
        if not self.user:
            raise ValueError("no user")


@record
class Labelled:
    name: str
    labels: Mapping[str, str] = MappingProxyType({})


def test_fields_are_set_by_position_and_by_name() -> None:
    assert (Point(1).y, Point(1, 2).y, Point(x=1, y=3).y) == (0, 2, 3)
    assert Login("u", "p", seconds=1).seconds == 1
    assert Login("u", password="p").seconds == 5.0
    assert Login("u", "p").kind == "login"


@pytest.mark.parametrize(
    ("values", "named"), [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((1,), {"z": 1}), ((), {"y": 1})]
)
def test_wrong_arguments_are_refused(values: tuple[int, ...], named: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="Point"):
        Point(*values, **named)


def test_equality_compares_class_and_fields() -> None:
    assert Point(1) == Point(1, 0)
    assert Point(1) != Point(2)
    other: object = OtherPoint(1)
    assert Point(1) != other
    assert {Point(1): "found"}[Point(1, 0)] == "found"


def test_the_repr_omits_hidden_fields() -> None:
    assert repr(Point(1)) == "Point(x=1, y=0)"
    assert repr(Login("u", "secret", "secret")) == "Login(user='u', seconds=5.0)"


def test_a_record_is_immutable() -> None:
    point = Point(1)

    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x

    assert point == Point(1)


def test_dataclasses_accept_a_record() -> None:
    login = Login("u", "p")

    assert dataclasses.is_dataclass(login)
    assert {field.name: field.repr for field in dataclasses.fields(login)} == {
        "user": True,
        "password": False,
        "token": False,
        "seconds": True,
    }
    assert dataclasses.replace(login, user="v", seconds=1) == Login("v", "p", seconds=1)
    assert dataclasses.asdict(Point(1)) == {"x": 1, "y": 0}


def test_dataclasses_accept_a_default_that_cannot_be_hashed() -> None:
    assert dataclasses.replace(Labelled("a"), name="b") == Labelled("b")


def test_a_record_whose_fields_are_not_set_yet_has_a_repr() -> None:
    assert repr(Point.__new__(Point)) == "Point(y=0)"


def test_a_dataclass_may_inherit_from_a_record() -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class File(Base):
        path: str

    assert repr(File("a", seconds=1)).endswith("File(seconds=1, path='a')")


def test_a_record_is_copied_pickled_and_matched() -> None:
    point = Point(1, 2)

    assert copy.copy(point) == copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point  # noqa: S301
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_an_error_of_post_init_shows_no_secret() -> None:
    with pytest.raises(ValueError, match="no user") as caught:
        Login("", "se" + "cret")

    frames = caught.traceback[1:]
    assert [name for frame in frames for name, value in frame.frame.f_locals.items() if "secret" in str(value)] == []
