"""Canary secrets appear in no log, repr, message, traceback or output, on any path."""

from __future__ import annotations

import base64
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from open_alchemy.package_database import BaseError, TDatabase
from open_alchemy.package_database.engines.dynamodb.config import Credentials
from open_alchemy.package_database.engines.dynamodb.retry import QUOTA
from tests.apis import APIS, config_of, open_api
from tests.canary import HASH, SALT, find
from tests.canned_server import Behaviour, cut_short, fail, reset, serve, stay_silent, succeed
from tests.instant_delays import instant_delays
from tests.pairwise import selected

ROOT = Path(__file__).parents[2]
PACKAGE = str(ROOT / "open_alchemy" / "package_database")
ITEM = {
    "sub": {"S": "u1"},
    "id": {"S": "1"},
    "public_key": {"S": "pk"},
    "secret_key_hash": {"B": base64.b64encode(HASH).decode()},
    "salt": {"B": base64.b64encode(SALT).decode()},
}


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Sets all loggers to DEBUG, and returns their output."""
    caplog.set_level(logging.DEBUG)
    names = [
        name
        for name in logging.root.manager.loggerDict
        if name.startswith(("asyncio", "boto", "urllib3", "open_alchemy"))
    ]
    for name in names:
        caplog.set_level(logging.DEBUG, logger=name)
    return lambda: caplog.text + "".join(str(vars(record)) for record in caplog.records)


def create(database: TDatabase) -> None:
    database.create_update_credentials(sub="u1", id_="1", public_key="pk", secret_key_hash=HASH, salt=bytearray(SALT))


def create_with_a_wrong_hash(database: TDatabase) -> None:
    wrong: Any = HASH.decode()
    database.create_update_credentials(sub="u1", id_="1", public_key="pk", secret_key_hash=wrong, salt=SALT)


def create_with_a_wrong_id(database: TDatabase) -> None:
    database.create_update_credentials(sub="u1", id_="", public_key="pk", secret_key_hash=HASH, salt=SALT)


def create_too_large(database: TDatabase) -> None:
    database.create_update_credentials(
        sub="u1", id_="1", public_key="pk", secret_key_hash=HASH * 30_000, salt=memoryview(SALT)
    )


def create_with_positional_arguments(database: TDatabase) -> None:
    call: Any = database.create_update_credentials
    with pytest.raises(TypeError, match="positional") as caught:
        call("u1", "1", "pk", HASH, SALT)
    frames = traceback.walk_tb(caught.value.__traceback__)
    printed = [str(frame.f_locals) for frame, _ in frames if frame.f_code.co_filename.startswith(PACKAGE)]
    assert find(" ".join(printed)) == []


def get_user(database: TDatabase) -> object:
    return repr(database.get_user(public_key="pk"))


def get_credentials(database: TDatabase) -> object:
    # The call returns the salt, so it may appear here.
    return database.get_credentials(sub="u1", id_="1") is None


def list_credentials(database: TDatabase) -> object:
    return len(database.list_credentials(sub="u1"))


ANSWERS: dict[str, Behaviour] = {
    "item": succeed({"Item": ITEM, "Items": [ITEM]}),
    "two claims": succeed({"Item": ITEM, "Items": [ITEM, {**ITEM, "id": {"S": "2"}}]}),
    "refused": fail("ValidationException", content={"Item": ITEM}),
    "cancelled": fail(
        "TransactionCanceledException",
        content={"CancellationReasons": [{"Code": "ConditionalCheckFailed", "Item": ITEM}]},
    ),
    "condition": fail("ConditionalCheckFailedException", content={"Item": ITEM}),
    "throttled": fail("ThrottlingException"),
    "500": fail("InternalServerError", status=500),
    "wrong checksum": succeed({"Item": ITEM, "Items": [ITEM]}, x_amz_crc32="1"),
    "cut short": cut_short,
    "reset": reset,
    "silent": stay_silent,
}
REFUSED_CALLS = [create_with_a_wrong_hash, create_with_a_wrong_id, create_too_large, create_with_positional_arguments]
"""Send no request, so they get no answer."""
CALLS = [create, get_user, get_credentials, list_credentials]
ROWS = [*product(APIS, ["item"], REFUSED_CALLS), *selected(product(APIS, ANSWERS, CALLS))]


@pytest.fixture(scope="module")
def open_on() -> Iterator[Callable[[str, str], TDatabase]]:
    """Opens an API on a server that answers with one of ``ANSWERS``. Making a client takes longer than its calls."""

    @cache
    def opened(api: str, read_timeout: float) -> TDatabase:
        with instant_delays(read=read_timeout) as sources:
            return stack.enter_context(open_api(api, config_of(server.url), sources))

    def answering(api: str, answer: str) -> TDatabase:
        server.behave(ANSWERS[answer])
        database = opened(api, 0.05 if answer == "silent" else 30)
        # Retries of other tests took from the quota.
        owner: Any = getattr(database, "_database", database)
        owner.engine._executor._quota.release(QUOTA)
        return database

    with ExitStack() as stack:
        server = stack.enter_context(serve(stay_silent))
        yield answering


@pytest.mark.parametrize(("api", "answer", "call"), ROWS)
def test_no_path_discloses_a_secret(
    open_on: Callable[[str, str], TDatabase],
    api: str,
    answer: str,
    call: Callable[[TDatabase], object],
    logged: Callable[[], str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    try:
        shown = repr(call(open_on(api, answer)))
    except BaseError as error:
        shown = frames_below(error)

    printed = capfd.readouterr()
    assert find(shown) == []
    assert find(logged() + printed.out + printed.err) == []


def frames_below(error: Exception) -> str:
    """Returns a traceback with local variables, as some tools print it, from the first frame of the package."""
    while error.__traceback__ is not None and PACKAGE not in error.__traceback__.tb_frame.f_code.co_filename:
        error.__traceback__ = error.__traceback__.tb_next
    assert error.__traceback__ is not None
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(shown.format()) + repr(error) + str(error)


def test_a_disclosed_canary_is_found(logged: Callable[[], str]) -> None:
    logging.getLogger("botocore.endpoint").debug("body: %s", ITEM)
    raised = ValueError(f"{SALT!r}")

    assert len(find(logged())) >= 2
    assert find(str(raised)) != []
    assert find(f"{base64.b64encode(b'ab' + HASH).decode()} {HASH.hex()}") != []


def test_other_users_of_botocore_may_still_log(logged: Callable[[], str]) -> None:
    with serve(succeed({})) as server, open_api("boto3", config_of(server.url)) as database:
        database.get_spec(sub="u1", name="a")
    logging.getLogger("botocore.endpoint").debug("of somebody else")

    assert "of somebody else" in logged()


TOKEN = "canary-of-the-session-token"


def near_the_recursion_limit(left: int, function: Callable[[], object]) -> BaseException | None:
    """Returns the exception of a function that may nest only a given number of further calls."""
    depth, limit = len(list(traceback.walk_stack(sys._getframe()))), sys.getrecursionlimit()
    hook = sys.unraisablehook
    # A finalizer may exceed the limit too, and pytest's hook would exceed it once more.
    sys.unraisablehook = bool
    sys.setrecursionlimit(depth + left)
    try:
        function()
    except (RecursionError, BaseError) as error:
        return error
    finally:
        sys.setrecursionlimit(limit)
        sys.unraisablehook = hook
    return None


@pytest.mark.parametrize("call", [create, get_user, get_credentials])
def test_a_traceback_near_the_recursion_limit_contains_no_secret(call: Callable[[TDatabase], object]) -> None:
    raised = []
    with serve(succeed({"Item": ITEM, "Items": [ITEM]})) as server:
        credentials = Credentials("id", "canary-of-the-key", TOKEN)
        config = config_of(server.url, deadline=0.5)._replace(credentials=credentials)
        with open_api("lean", config) as database:
            call(database)
            for left in range(9, 60):
                error = near_the_recursion_limit(left, lambda: call(database))
                if error is not None:
                    raised.append((left, error))

    assert len(raised) > 10
    for left, error in raised:
        shown = " ".join(locals_of_the_package(error))
        assert [trace for trace in (*find(shown), TOKEN, "Signature=") if trace in shown] == [], left


def locals_of_the_package(error: BaseException) -> list[str]:
    """Returns the local variables of the package's frames in the tracebacks of an error and its causes."""
    shown = [str(error), repr(error)]
    behind: list[BaseException | None] = [error]
    while behind:
        current = behind.pop()
        if current is not None:
            # A tracer, such as coverage's, may exceed the limit before the first statement of a function.
            frames = [
                frame
                for frame, line in traceback.walk_tb(current.__traceback__)
                if sys.gettrace() is None or line != frame.f_code.co_firstlineno
            ]
            shown += [str(frame.f_locals) for frame in frames if frame.f_code.co_filename.startswith(PACKAGE)]
            behind += [current.__cause__, current.__context__]
    return shown
