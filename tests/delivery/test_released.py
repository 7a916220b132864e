"""The released package is tested: the index supplies nothing else, and the repository supplies only the tests."""

from __future__ import annotations

import os
import venv
from pathlib import Path

import pip
import pytest

from delivery import released
from delivery.project import PYPI, TEST_PYPI, Project
from tests.delivery.simple_index import SimpleIndex, serve

NAME = "open-alchemy-package-database"
PROJECT = Project("open-alchemy.package-database", "5.1.0")
PIP = ["python", "-m", "pip", "install", "--only-binary=:all:", "--disable-pip-version-check", "--progress-bar=off"]

PACKAGE = "open_alchemy/package_database/__init__.py"

# Replaces pytest, and prints the environment of the tests.
FAKE_PYTEST = """
import os, sys
from importlib.metadata import distributions
from open_alchemy.package_database import WHERE_FROM
print(sys.argv[1:], os.environ["STAGE"], WHERE_FROM, os.listdir("production"))
print(sorted(f"{each.name} {each.version}" for each in distributions() if each.name not in ("pip", "setuptools")))
"""


def test_only_the_package_comes_from_the_index_and_its_dependencies_are_locked() -> None:
    commands = released.install_commands(
        Path("python"), PROJECT.requirement, index=TEST_PYPI, dependencies=PYPI, lock=Path("lock.txt")
    )

    assert commands == [
        [*PIP, "--index-url=https://pypi.org/simple/", "--require-hashes", "--requirement=lock.txt"],
        [*PIP, "--index-url=https://test.pypi.org/simple/", "--no-deps", "open-alchemy.package-database==5.1.0"],
    ]


@pytest.mark.parametrize(
    ("configured", "versions", "tested"),
    [
        ("5.1.0", ["5.0.0", "5.1.0"], "5.1.0"),
        ("5.1.0", ["5.1", "5.2.0"], "5.1.0"),
        ("5.1.0", ["5.0.0", "4.9.0", "5.1.0rc1", "2004-draft"], "5.0.0"),
        ("5.1.0", [], None),
        ("5.1.0", ["5.1.0rc1"], None),
    ],
    ids=["released", "released, newer too", "pending", "first release pending", "pre-release only"],
)
def test_the_newest_release_is_tested_until_the_configured_version_is_released(
    configured: str, versions: list[str], tested: str | None
) -> None:
    assert released.version_to_test(configured, versions) == tested


def test_a_pending_release_is_a_warning(index: SimpleIndex, capsys: pytest.CaptureFixture[str]) -> None:
    index.list_versions(NAME, ["5.0.0"])

    version = released.select_version(PROJECT, index=index.url)

    assert version == "5.0.0"
    assert capsys.readouterr().out.startswith(
        "::warning title=Release pending::open-alchemy.package-database==5.1.0 is not on "
    )


def test_nothing_is_tested_before_the_first_release(index: SimpleIndex, capsys: pytest.CaptureFixture[str]) -> None:
    code = released.main(["pypi", "--index-url", index.url])

    assert code == 0
    assert "Tested instead: nothing." in capsys.readouterr().out


def test_an_unreadable_index_fails(index: SimpleIndex, capsys: pytest.CaptureFixture[str]) -> None:
    index.answer(NAME, b"", status=503)

    code = released.main(["pypi", "--index-url", index.url])

    assert code == 1
    assert "HTTP status 503" in capsys.readouterr().err


def test_settings_of_the_caller_are_removed() -> None:
    variables = {
        "AWS_REGION": "eu-west-1",
        "PIP_CERT": "/etc/proxy.pem",
        "PIP_EXTRA_INDEX_URL": "https://example.org/simple/",
        "PIP_FIND_LINKS": "/wheels",
        "PIP_CONFIG_FILE": "/home/me/pip.conf",
        "PYTHONPATH": "/repository",
        "PYTEST_ADDOPTS": "--rootdir=/repository",
        "PACKAGE_DATABASE_URL": "sqlite:///elsewhere.db",
        "STAGE": "TEST",
    }

    environment = released.environment(variables)

    assert environment == {
        "AWS_REGION": "eu-west-1",
        "PIP_CERT": "/etc/proxy.pem",
        "PIP_CONFIG_FILE": os.devnull,
        "STAGE": "PROD",
    }


def test_the_tested_code_cannot_request_a_token() -> None:
    variables = {
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret",
        "ACTIONS_ID_TOKEN_REQUEST_URL": "https://example.org/token",
        "GITHUB_ENV": "/home/runner/env",
        "AWS_SESSION_TOKEN": "session",
    }

    assert released.environment(variables).keys() == {"AWS_SESSION_TOKEN", "PIP_CONFIG_FILE", "STAGE"}


@pytest.mark.parametrize(
    ("codes", "succeeds", "slept"),
    [
        ([0], True, []),
        ([1, 0], True, [5]),
        ([1, 1, 2, 0], True, [5, 10, 20]),
        ([1] * 7 + [0], True, [5, 10, 20, 40, 80, 160, 300]),
        ([1] * 8, False, [5, 10, 20, 40, 80, 160, 300]),
    ],
)
def test_an_install_is_tried_again_after_growing_pauses(
    *, codes: list[int], succeeds: bool, slept: list[float]
) -> None:
    left = list(codes)
    pauses: list[float] = []

    result = released.run_until_it_succeeds(["pip"], run=lambda _: left.pop(0), sleep=pauses.append)

    assert (result, left, pauses) == (succeeds, [], slept)


@pytest.fixture(autouse=True)
def _shared_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """New environments use the pip of this one: its installation takes seconds."""
    create = venv.create

    def create_with_link(folder: Path, *, with_pip: bool) -> None:
        assert with_pip
        create(folder)
        (packages,) = folder.glob("[Ll]ib/**/site-packages")
        (packages / "pip").symlink_to(Path(pip.__file__).parent)

    monkeypatch.setattr(venv, "create", create_with_link)


@pytest.fixture
def production_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "production"
    folder.mkdir()
    (folder / "test_specs.py").touch()
    monkeypatch.setattr(released, "PRODUCTION_TESTS", folder)


@pytest.mark.usefixtures("production_tests")
def test_the_package_comes_from_one_index_and_its_dependencies_from_the_other(
    index: SimpleIndex, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serve() as pypi:
        dependency = pypi.publish("tiny-dependency", "1.0", {})
        pytest_wheel = pypi.publish("pytest", "8.0", {"pytest/__init__.py": "", "pytest/__main__.py": FAKE_PYTEST})
        lock = tmp_path / "lock.txt"
        lock.write_text(
            f"tiny-dependency==1.0 --hash=sha256:{dependency}\npytest==8.0 --hash=sha256:{pytest_wheel}\n",
            encoding="utf-8",
        )
        monkeypatch.setattr(released, "LOCK", lock)
        pypi.publish(NAME, "5.1.0", {PACKAGE: "WHERE_FROM = 'PyPI'"})
        # Anybody may register a name on test PyPI and give it the highest version.
        index.publish("tiny-dependency", "99", {})
        index.publish("pytest", "99", {})
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", index.url)

        def catch_up(_: float) -> None:
            index.publish(NAME, "5.1.0", {PACKAGE: "WHERE_FROM = 'its index'"}, requires=["tiny-dependency"])

        code = released.verify(PROJECT, index=index.url, dependencies=pypi.url, sleep=catch_up)

    assert code == 0
    printed = capfd.readouterr().out.splitlines()
    assert "Failed. Next attempt in 5 seconds." in printed
    assert printed[-2:] == [
        "['--verbose', 'production'] PROD its index ['test_specs.py']",
        "['open-alchemy-package-database 5.1.0', 'pytest 8.0', 'tiny-dependency 1.0']",
    ]
    assert {path for path, _ in index.requests} == {
        f"/simple/{NAME}/",
        f"/files/{NAME.replace('-', '_')}-5.1.0-py3-none-any.whl",
    }


@pytest.mark.usefixtures("production_tests")
def test_a_failing_test_fails(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(released, "install_commands", lambda *_, **__: [])

    code = released.verify(PROJECT, index=PYPI, dependencies=PYPI)

    assert code == 1
    assert "No module named pytest" in capfd.readouterr().err


def test_a_version_that_is_never_on_the_index_fails(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(released, "install_commands", lambda python, *_, **__: [[str(python), "-c", "1 / 0"]])
    pauses: list[float] = []

    code = released.verify(PROJECT, index=TEST_PYPI, dependencies=PYPI, sleep=pauses.append)

    assert code == 1
    assert pauses == list(released.PAUSES)
    message = "open-alchemy.package-database==5.1.0 of https://test.pypi.org/simple/ cannot be installed"
    assert message in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "verified"),
    [
        (["pypi", "5.0.0"], (Project("open-alchemy.package-database", "5.0.0"), PYPI, PYPI)),
        (["testpypi", "5.1.0"], (PROJECT, TEST_PYPI, PYPI)),
        (["testpypi", "5.1.0", "--index-url", "a", "--dependencies-url", "b"], (PROJECT, "a", "b")),
    ],
)
def test_the_arguments_name_the_index_and_the_version(
    arguments: list[str], verified: tuple[Project, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[Project, str, str]] = []

    def verify(given: Project, *, index: str, dependencies: str) -> int:
        called.append((given, index, dependencies))
        return 7

    monkeypatch.setattr(released, "verify", verify)

    code = released.main(arguments)

    assert (code, called) == (7, [verified])


def test_an_unknown_index_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        released.main(["elsewhere"])

    assert "invalid choice: 'elsewhere'" in capsys.readouterr().err
