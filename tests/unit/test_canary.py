from __future__ import annotations

import logging

from tests.canary import HASH, SALT, find, record_logs


def test_a_canary_is_found_in_messages_arguments_and_attributes_of_log_records() -> None:
    logger = logging.getLogger("botocore.endpoint")
    logger.setLevel(logging.WARNING)

    with record_logs() as logged:
        logger.debug("%s", HASH)
        logger.debug("no trace", extra={"salt": SALT})

    assert set(find(logged())) == {HASH.decode(), SALT.decode()}
    assert logger.level == logging.WARNING
