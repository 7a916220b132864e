"""Which requests of a broker are executed, which wait, and which are refused. No I/O.

A limited number of requests is executed at once. Others wait in a queue, which is bounded in requests, in bytes and in
requests of one client.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable
from typing import Final, NamedTuple

from ..core.deadline import Deadline
from ..engines.broker.codec import Codec
from ..engines.broker.messages import Request
from ..engines.broker.transports import Peer
from .served_store import ServedStore

MAX_QUEUED_BYTES: Final = 256_000_000
"""The bytes of the requests that wait."""


class Job(NamedTuple):
    """A request that is not answered yet.

    Attributes:
        peer: Who sent it.
        codec: The codec of its answer.
        request: The request.
        store: The store of its instance.
        deadline: Its deadline.
        size: Its bytes.
    """

    peer: Peer
    codec: Codec
    request: Request
    store: ServedStore
    deadline: Deadline
    size: int


class Admission:
    """The requests that are not answered yet.

    Args:
        concurrency: How many requests are executed at once.
        queue: How many requests may wait.
        client_requests: How many requests of one client may be in progress or wait.

    Attributes:
        jobs: The requests, by their client and id.
        queued_bytes: The bytes of those that wait.
    """

    def __init__(self, concurrency: int, queue: int, client_requests: int) -> None:
        self.jobs: dict[tuple[Peer, int], Job] = {}
        self.queued_bytes = 0
        self._concurrency = concurrency
        self._max_queued = queue
        self._client_requests = client_requests
        self._queue: deque[Job] = deque()
        self._of_client: Counter[Hashable] = Counter()

    @property
    def in_progress(self) -> int:
        """The number of requests that are executed."""
        return len(self.jobs) - len(self._queue)

    @property
    def queued(self) -> int:
        """The number of requests that wait."""
        return len(self._queue)

    @property
    def clients(self) -> int:
        """The number of clients with requests."""
        return len(self._of_client)

    def refusal(self, peer: Peer, size: int) -> str | None:
        """Returns why a request of a client can neither start nor wait; None if it can."""
        if self.in_progress < self._concurrency:
            return None
        if len(self._queue) >= self._max_queued or self.queued_bytes + size > MAX_QUEUED_BYTES:
            return "the queue of the broker is full"
        if self._of_client[_client(peer)] >= self._client_requests:
            return f"the client has {self._client_requests} requests without an answer"
        return None

    def add(self, job: Job) -> bool:
        """Adds a request; returns whether it starts now, otherwise it waits."""
        is_free = self.in_progress < self._concurrency
        self.jobs[job.peer, job.request.id] = job
        self._of_client[_client(job.peer)] += 1
        if not is_free:
            self._queue.append(job)
            self.queued_bytes += job.size
        return is_free

    def next(self) -> Job | None:
        """Returns the first request that waits, which starts now; None if none waits or can start."""
        return self.take() if self.in_progress < self._concurrency else None

    def take(self) -> Job | None:
        """Returns the first request that waits, and removes it from the queue."""
        if not self._queue:
            return None
        job = self._queue.popleft()
        self.queued_bytes -= job.size
        return job

    def remove(self, job: Job) -> None:
        """Removes a request that does not wait and is answered."""
        del self.jobs[job.peer, job.request.id]
        client = _client(job.peer)
        self._of_client[client] -= 1
        if not self._of_client[client]:
            del self._of_client[client]


def _client(peer: Peer) -> Hashable:
    """Returns who the limit of requests applies to: the user on all connections, or the connection."""
    return peer.user or peer.address
