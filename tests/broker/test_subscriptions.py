"""The broker's side of subscriptions, and which changes a transaction publishes. No sockets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from open_alchemy.package_database.broker import subscriptions as subscriptions_module
from open_alchemy.package_database.broker.change_publishing import PublishingEngine, creates
from open_alchemy.package_database.broker.subscriptions import LEASE_SECONDS, Subscriptions
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import (
    AllOf,
    AnyOf,
    Below,
    Check,
    Condition,
    Delete,
    Equal,
    Item,
    Missing,
    Put,
    Transact,
)
from open_alchemy.package_database.engines.broker.codec import JSON, MESSAGEPACK, Codec
from open_alchemy.package_database.engines.broker.messages import (
    VERSION,
    Change,
    Changed,
    Failed,
    Request,
    Subscribe,
    Subscribed,
)
from open_alchemy.package_database.engines.broker.transports import Peer
from open_alchemy.package_database.exceptions import ConflictError, RefusedError, UnavailableError
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS
from open_alchemy.package_database.testing.memory import MemoryEngine
from tests.broker.recording import RecordingTransport
from tests.canary import HASH, SALT, find

CHANGE = Change("created", SPECS.name, "u", "a", "r")
OF_OTHER = Change("deleted", SPECS.name, "other", "a")


class Broker:
    """The subscriptions of a broker, and clients of it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.subscriptions = Subscriptions(lambda: self.now)
        self.transport = RecordingTransport()

    def subscribe(
        self, name: str = "s", *, partition: str | None = None, client: str = "c", instance: str = "", codec: Codec
    ) -> Any:
        request = Request(VERSION, 1, 0, 1, Subscribe(name, partition), instance)
        return self.subscriptions.subscribe(Peer(self.transport, client), codec, request)

    @property
    def changed(self) -> list[Changed]:
        return [answer.body for answer in self.transport.answers if isinstance(answer.body, Changed)]


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.mark.parametrize("codec", [MESSAGEPACK, JSON])
def test_a_subscriber_gets_numbered_changes_in_its_codec(broker: Broker, codec: Codec) -> None:
    subscribed = broker.subscribe(codec=codec)
    broker.subscriptions.publish("", [CHANGE])
    broker.subscriptions.publish("", [CHANGE, OF_OTHER])
    assert subscribed.number == 0
    assert broker.changed == [
        Changed("s", subscribed.epoch, 1, (CHANGE,)),
        Changed("s", subscribed.epoch, 2, (CHANGE, OF_OTHER)),
    ]


def test_a_renewal_returns_the_last_number(broker: Broker) -> None:
    first = broker.subscribe(codec=MESSAGEPACK)
    broker.subscriptions.publish("", [CHANGE])
    assert broker.subscribe(codec=MESSAGEPACK) == Subscribed(first.epoch, 1)


def test_a_subscription_to_a_user_gets_and_counts_the_changes_of_this_user(broker: Broker) -> None:
    broker.subscribe(partition="u", codec=MESSAGEPACK)
    broker.subscriptions.publish("", [OF_OTHER])
    broker.subscriptions.publish("", [OF_OTHER, CHANGE])
    assert [(changed.number, changed.changes) for changed in broker.changed] == [(1, (CHANGE,))]


def test_changes_that_may_have_taken_effect_are_a_gap(broker: Broker) -> None:
    broker.subscribe(name="mine", partition="u", codec=MESSAGEPACK)
    broker.subscribe(name="others", partition="other", codec=MESSAGEPACK)
    broker.subscriptions.publish("", [CHANGE], is_certain=False)
    broker.subscriptions.publish("", [CHANGE, OF_OTHER])
    assert [(changed.subscription, changed.number) for changed in broker.changed] == [("mine", 2), ("others", 1)]


def test_a_subscription_is_to_one_instance(broker: Broker) -> None:
    broker.subscribe(instance="test", codec=MESSAGEPACK)
    assert (broker.subscriptions.is_heard(""), broker.subscriptions.is_heard("test")) == (False, True)
    broker.subscriptions.publish("", [CHANGE])
    assert broker.changed == []


def test_a_subscription_that_is_not_renewed_ends(broker: Broker) -> None:
    first = broker.subscribe(codec=MESSAGEPACK)
    broker.now = LEASE_SECONDS + 1
    broker.subscriptions.publish("", [CHANGE])
    assert (broker.changed, broker.subscriptions.is_heard("")) == ([], False)
    assert broker.subscribe(codec=MESSAGEPACK).epoch != first.epoch


def test_a_client_cannot_use_all_subscriptions(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions_module, "_MAX_OF_CLIENT", 1)
    assert isinstance(broker.subscribe("a", codec=MESSAGEPACK), Subscribed)
    assert broker.subscribe("b", codec=MESSAGEPACK).code == "Overloaded"
    assert isinstance(broker.subscribe("b", client="other", codec=MESSAGEPACK), Subscribed)


def test_the_number_of_subscriptions_is_limited(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions_module, "_MAX_SUBSCRIPTIONS", 1)
    broker.subscribe(client="a", codec=MESSAGEPACK)
    assert isinstance(broker.subscribe(client="a", codec=MESSAGEPACK), Subscribed)
    failed = broker.subscribe(client="b", codec=MESSAGEPACK)
    assert isinstance(failed, Failed)
    assert (failed.error, failed.code) == ("UnavailableError", "Overloaded")


class Publishing:
    """A store in memory that publishes its changes."""

    def __init__(self) -> None:
        self.published: list[list[Change]] = []
        self.is_heard = True
        self.uncertain: list[list[Change]] = []
        self.engine = MemoryEngine()
        self._engine = PublishingEngine(self.engine, self._publish, lambda: self.is_heard)

    def _publish(self, changes: Sequence[Change], *, is_certain: bool = True) -> None:
        (self.published if is_certain else self.uncertain).append(list(changes))

    def execute(self, *actions: Put | Delete | Check) -> Any:
        return self._engine.execute(Transact(actions, str(len(self.published)) + str(actions)), Deadline(5))


@pytest.fixture
def publishing() -> Publishing:
    return Publishing()


def spec(revision: str | None = None) -> dict[str, Any]:
    return {"sub": "u", "updated_at_id": "latest#a", "id": "a", **({"revision": revision} if revision else {})}


KEY = {"sub": "u", "updated_at_id": "latest#a"}


def test_each_action_of_a_transaction_is_a_change(publishing: Publishing) -> None:
    credentials: Item = {"sub": "u", "id": "c", "public_key": "p", "secret_key_hash": HASH, "salt": SALT}
    publishing.execute(Put(SPECS, spec("r1")), Put(CREDENTIALS, credentials))
    publishing.execute(Put(SPECS, spec("r2")), Check(CREDENTIALS, {"sub": "u", "id": "c"}, Equal("id", "c")))
    publishing.execute(Delete(SPECS, KEY))
    assert publishing.published == [
        [
            Change("created", SPECS.name, "u", "latest#a", "r1"),
            Change("created", CREDENTIALS.name, "u", "c"),
        ],
        [Change("updated", SPECS.name, "u", "latest#a", "r2")],
        [Change("deleted", SPECS.name, "u", "latest#a")],
    ]
    assert find(repr(publishing.published)) == []


def test_a_transaction_without_effect_publishes_nothing(publishing: Publishing) -> None:
    assert publishing.execute(Put(SPECS, spec(), Equal("revision", "r1")))
    publishing.execute(Check(SPECS, KEY, Missing("sub")))
    assert publishing.published == []


@pytest.mark.parametrize(
    ("error", "count"),
    [(UnavailableError("no answer"), 1), (KeyboardInterrupt(), 1), (RefusedError("no"), 0), (ConflictError("no"), 0)],
)
def test_a_transaction_whose_outcome_is_unknown_is_reported(
    publishing: Publishing, error: BaseException, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(publishing.engine, "execute", fail)
    with pytest.raises(type(error)):
        publishing.execute(Delete(SPECS, KEY))
    assert (publishing.published, len(publishing.uncertain)) == ([], count)


def test_without_subscribers_nothing_is_published(publishing: Publishing) -> None:
    publishing.is_heard = False
    publishing.execute(Put(SPECS, spec()))
    assert publishing.published == []


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, None),
        (Missing("sub"), True),
        (Missing("title"), None),
        (Equal("revision", "r"), False),
        (Below("updated_at", "1"), False),
        (AllOf((Missing("title"), Equal("id", "a"))), False),
        (AllOf((Missing("title"), Missing("updated_at_id"))), True),
        (AnyOf((Missing("sub"), Equal("id", "a"))), None),
    ],
)
def test_a_condition_may_decide_whether_a_put_creates(condition: Condition | None, *, expected: bool | None) -> None:
    assert creates(SPECS, condition) is expected
