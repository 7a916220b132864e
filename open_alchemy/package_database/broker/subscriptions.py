"""The subscriptions of a broker's clients to changes.

Each subscription has an epoch, and a number that increases with each message, also with one that is lost: the client
notices the gap. A message to a client that does not read is dropped by the transport, and delays nobody.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

from ..engines.broker import messages
from ..engines.broker.codec import Codec, encode
from ..engines.broker.messages import VERSION, Answer, AnswerBody, Change
from ..engines.broker.transports import Peer
from . import error_responses

LEASE_SECONDS: Final = 10.0
"""How long a subscription lasts that is not renewed."""
_MAX_SUBSCRIPTIONS: Final = 1_000
_MAX_OF_CLIENT: Final = 500


class _Subscription:
    """A subscription of a client."""

    __slots__ = ("codec", "end", "epoch", "instance", "name", "number", "partition", "peer")

    def __init__(self, peer: Peer, codec: Codec, instance: str, body: messages.Subscribe) -> None:
        self.peer = peer
        self.codec = codec
        self.instance = instance
        self.name = body.subscription
        self.partition = body.partition
        self.epoch = secrets.token_hex(8)
        self.number = 0
        self.end = 0.0

    def send(self, changes: Sequence[Change], *, is_certain: bool) -> None:
        """Sends those of the changes that it is for, or leaves a gap in the numbers if they are not certain."""
        selected = tuple(change for change in changes if self.partition is None or change.partition == self.partition)
        if selected:
            self.number += 1
        if selected and is_certain:
            body = messages.Changed(self.name, self.epoch, self.number, selected)
            self.peer.transport.send(self.peer.address, encode(Answer(VERSION, 0, body), self.codec))


class Subscriptions:
    """The subscriptions of a broker; used in its event loop.

    Args:
        clock: Returns the monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._subscriptions: dict[tuple[Peer, str], _Subscription] = {}

    def subscribe(self, peer: Peer, codec: Codec, request: messages.Request) -> AnswerBody:
        """Starts or renews a subscription."""
        body = request.body
        assert isinstance(body, messages.Subscribe)
        self._forget_expired()
        key = peer, body.subscription
        found = self._subscriptions.get(key)
        if found is None or (found.partition, found.instance) != (body.partition, request.instance):
            if len(self._subscriptions) >= _MAX_SUBSCRIPTIONS or self._number_of(peer) >= _MAX_OF_CLIENT:
                return error_responses.overloaded("Subscribe", "the broker has too many subscriptions")
            found = self._subscriptions[key] = _Subscription(peer, codec, request.instance, body)
        found.end = self._clock() + LEASE_SECONDS
        return messages.Subscribed(found.epoch, found.number)

    def is_heard(self, instance: str) -> bool:
        """Returns whether anybody is subscribed to an instance."""
        # A copy: it is called in threads too.
        return any(subscription.instance == instance for subscription in tuple(self._subscriptions.values()))

    def publish(self, instance: str, changes: Sequence[Change], *, is_certain: bool = True) -> None:
        """Sends the changes of a transaction to the subscribers of its instance.

        Args:
            instance: The instance.
            changes: The changes.
            is_certain: Whether the transaction took effect. If that is unknown, its subscribers miss it.
        """
        self._forget_expired()
        for subscription in self._subscriptions.values():
            if subscription.instance == instance:
                subscription.send(changes, is_certain=is_certain)

    @property
    def has_subscriptions(self) -> bool:
        """Whether there are subscriptions."""
        return bool(self._subscriptions)

    def miss(self) -> None:
        """Lets all subscribers miss something: there may have been changes that are unknown."""
        for subscription in self._subscriptions.values():
            subscription.number += 1

    def _number_of(self, client: Peer) -> int:
        """Returns the number of subscriptions of a user, or of a connection without a user."""
        of_client = [(client.user or client.address) == (peer.user or peer.address) for peer, _ in self._subscriptions]
        return sum(of_client)

    def _forget_expired(self) -> None:
        # Renewed ones are not in order of their end; there are few.
        now = self._clock()
        for key in [key for key, subscription in self._subscriptions.items() if subscription.end < now]:
            del self._subscriptions[key]
