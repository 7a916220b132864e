"""Signatures against those that AWS publishes, and against botocore's."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import botocore.auth
import botocore.credentials
import pytest
from botocore.awsrequest import AWSRequest
from hypothesis import given
from hypothesis import strategies as st

from open_alchemy.package_database.engines.dynamodb.config import Credentials
from open_alchemy.package_database.engines.dynamodb.http.attempt import HttpAttempts
from open_alchemy.package_database.engines.dynamodb.http.credentials import StaticCredentials
from open_alchemy.package_database.engines.dynamodb.http.endpoint import Endpoint
from open_alchemy.package_database.engines.dynamodb.http.signature_v4 import Key, Moment, Signer

EXAMPLE = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
MOMENT = Moment.at(datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp())

# AWS's Signature Version 4 test suite, those of its requests whose path and query are plain.
# https://github.com/awslabs/aws-c-auth/tree/main/tests/aws-signing-test-suite/v4
VECTORS: dict[str, tuple[str, dict[str, str], bytes, str]] = {
    "get-vanilla": ("GET", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "post-vanilla": ("POST", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-x-www-form-urlencoded": (
        "POST",
        {"content-type": "application/x-www-form-urlencoded"},
        b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    "post-header-key-case": (
        "POST",
        {"my-header1": "value1"},
        b"",
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-header-value-case": (
        "POST",
        {"my-header1": "VALUE1"},
        b"",
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    "get-header-value-trim": (
        "GET",
        {"my-header1": "value1", "my-header2": '"a b c"'},
        b"",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
}


@pytest.mark.parametrize("vector", VECTORS)
def test_the_published_signatures(vector: str) -> None:
    method, headers, body, signature = VECTORS[vector]
    signed = {**headers, "host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
    lines = "\n".join(f"{name}:{signed[name]}" for name in sorted(signed))

    signer = Signer.of(
        Key.of(EXAMPLE, MOMENT.date, "us-east-1", "service"),
        MOMENT,
        f"{method}\n/\n",
        lines,
        ";".join(sorted(signed)),
    )

    assert signer.authorization(body) == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={';'.join(sorted(signed))}, Signature={signature}"
    )


def test_a_moment_is_told_in_utc() -> None:
    assert Moment("20150830T123600Z", "20150830") == MOMENT


def test_a_key_does_not_show() -> None:
    key = Key.of(EXAMPLE, "20150830", "us-east-1", "service")

    assert "wJalr" not in repr(key)
    assert repr(key) == "Key(scope='20150830/us-east-1/service/aws4_request')"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(
    credentials=st.builds(
        Credentials, st.from_regex(re.compile(r"[A-Z0-9]{4,20}"), fullmatch=True), keys, st.none() | keys
    ),
    now=st.integers(0, 2**32),
    region=st.sampled_from(["eu-west-1", "us-east-1", "ap-southeast-4"]),
    host=st.sampled_from(["dynamodb.eu-west-1.amazonaws.com", "localhost:8000", "[::1]:8000"]),
    action=st.sampled_from(["GetItem", "Query", "TransactWriteItems"]),
    values=st.dictionaries(texts, texts | st.binary(max_size=20), max_size=4),
)
def test_every_request_is_signed_as_botocore_signs_it(
    credentials: Credentials, now: int, region: str, host: str, action: str, values: dict[str, Any]
) -> None:
    endpoint = Endpoint("h", 1, region, is_encrypted=True, authority=host)
    core = HttpAttempts(endpoint, StaticCredentials(credentials), agent="agent", clock=lambda: now + 0.9)

    head, _, body = bytes(core.render(action, values, credentials)).partition(b"\r\n\r\n")

    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert headers["Authorization"] == _as_botocore(headers, body, credentials, now, region)
    assert head.startswith(b"POST / HTTP/1.1\r\n")
    assert headers["Content-Length"] == str(len(body))
    assert headers["X-Amz-Target"] == f"DynamoDB_20120810.{action}"


def _as_botocore(headers: dict[str, str], body: bytes, credentials: Credentials, now: int, region: str) -> str:
    not_signed = ("Authorization", "Content-Length", "User-Agent", "Accept-Encoding", "X-Amz-Date", "Host")
    sent = {name: value for name, value in headers.items() if name not in not_signed}
    request = AWSRequest("POST", f"https://{headers['Host']}/", headers=sent, data=body)
    request.headers["host"] = headers["Host"]
    keys = botocore.credentials.Credentials(
        credentials.access_key_id, credentials.secret_access_key, credentials.session_token
    )
    signer = botocore.auth.SigV4Auth(keys, "dynamodb", region)
    moment = datetime.fromtimestamp(now, tz=UTC).replace(tzinfo=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: moment)
        signer.add_auth(request)
    return str(request.headers["Authorization"])
