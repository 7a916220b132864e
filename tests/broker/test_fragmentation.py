"""Messages in parts: assembled as they were, or dropped, in bounded memory. No I/O."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.broker import fragmentation
from open_alchemy.package_database.engines.broker.fragmentation import Assembler, split


@given(st.binary(min_size=1, max_size=300), st.integers(12, 50))
def test_a_message_is_assembled_as_it_was(message: bytes, size: int) -> None:
    found = list(split(Secret(b"M" + message), size, 7))
    assembler = Assembler(1_000)
    assert [assembler.add("sender", part) for part in found] == [*[None] * (len(found) - 1), b"M" + message]
    assert max(map(len, found)) <= size


def test_a_report_precedes_each_part() -> None:
    found = list(split(Secret(b"Mab"), 12, 7, Secret(b"Mreport")))
    assert found[::2] == [b"Mreport"] * 3
    assert found[1::2] == list(split(Secret(b"Mab"), 12, 7))


def test_parts_of_several_senders_do_not_mix() -> None:
    first, second = (list(split(Secret(b"M" + text * 10), 12, 7)) for text in (b"a", b"b"))
    assembler = Assembler(1_000)
    results = [
        assembler.add(sender, part) for pair in zip(first, second, strict=True) for sender, part in enumerate(pair)
    ]
    assert results[-2:] == [b"M" + b"a" * 10, b"M" + b"b" * 10]


def test_a_message_without_one_of_its_parts_is_dropped() -> None:
    first, _, *rest = split(Secret(b"M" + b"a" * 10), 12, 7)
    assembler = Assembler(1_000)
    assert {assembler.add("sender", part) for part in (first, *rest)} == {None}


def test_a_message_that_is_too_long_is_dropped() -> None:
    assembler = Assembler(5)
    assert {assembler.add("sender", part) for part in split(Secret(b"M" + b"a" * 10), 12, 7)} == {None}


def test_the_oldest_of_too_many_incomplete_messages_is_dropped() -> None:
    first, last = split(Secret(b"Ma"), 12, 7)
    assembler = Assembler(1_000)
    assembler.add("oldest", first)
    for sender in range(fragmentation._MAX_INCOMPLETE):
        assembler.add(sender, first)
    assert assembler.add("oldest", last) is None
    assert assembler.add(0, last) == b"Ma"


@pytest.mark.parametrize("length", [0, 100])
def test_the_memory_of_incomplete_messages_is_bounded(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragmentation, "_MAX_INCOMPLETE_BYTES", 10_000)
    assembler = Assembler(fragmentation.MAX_BYTES)
    for sender in range(10):
        for number in range(20):
            part = fragmentation.MORE + bytes(8) + number.to_bytes(2) + bytes(length)
            assert assembler.add(sender, part) is None
    assert 0 < assembler.size <= 10_000
