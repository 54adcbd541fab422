"""An own cluster leaves the process as it found it."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from perpixel.delivery.cluster import connection, packages
from perpixel.delivery.cluster.connection import connected
from perpixel.errors import ConfigError


class Recorder:
    """Takes Ray's place and notes how it is started."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.started: list[dict[str, Any]] = []
        self.stopped = 0
        self.running = False

    def is_initialized(self) -> bool:
        return self.running

    def init(self, **settings: Any) -> None:
        home = os.environ["HOME"]
        provider = os.path.join(home, "ray_bootstrap_config.yaml")  # noqa: PTH118
        known = os.path.exists(provider)  # noqa: PTH110
        token = os.environ.get("RAY_AUTH_TOKEN_PATH")
        self.started.append({**settings, "known": known, "home": home, "token": token})
        if self.error is not None:
            raise self.error
        self.running = True

    def shutdown(self) -> None:
        self.stopped += 1
        self.running = False


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    ray = Recorder()
    monkeypatch.setattr(packages, "ray", lambda: ray)
    monkeypatch.setenv("HOME", "/home/someone")
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(connection.psutil, "process_iter", lambda _: iter(()))
    return ray


@pytest.mark.parametrize("address", ["local", None])
def test_an_own_cluster_asks_no_cloud_and_has_a_key_of_its_own(
    recorder: Recorder, address: str | None
) -> None:
    before = dict(os.environ)
    with connected(address, cpus=99) as ray:
        assert ray is recorder
        assert os.environ["HOME"] == "/home/someone"
    (start,) = recorder.started
    assert start["known"]
    assert start["token"].startswith(start["home"])
    assert start["runtime_env"] == {"env_vars": {"HOME": "/home/someone"}}
    assert (start["address"], start["num_cpus"]) == ("local", 99)
    assert start["include_dashboard"] is False
    assert recorder.stopped
    assert dict(os.environ) == {**before, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


def test_a_key_that_the_user_has_set_is_taken(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "theirs")
    with connected("local"):
        pass
    assert recorder.started[0]["token"] is None


def test_a_cluster_that_cannot_start_leaves_the_process_as_it_was(recorder: Recorder) -> None:
    recorder.error = OSError("no room")
    with pytest.raises(OSError, match="no room"), connected("local"):
        pass
    assert os.environ["HOME"] == "/home/someone"
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ


@pytest.mark.parametrize("found", ["named", "running"])
def test_a_cluster_that_is_there_is_taken_before_one_is_started(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    if found == "named":
        monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    else:
        raylet = SimpleNamespace(info={"name": "raylet"})
        monkeypatch.setattr(connection.psutil, "process_iter", lambda _: iter([raylet]))
    with connected(None):
        pass
    assert recorder.started[0]["address"] == "auto"
    assert recorder.stopped


def test_a_connection_that_is_there_is_left_alone(recorder: Recorder) -> None:
    recorder.running = True
    with connected("local"):
        pass
    assert recorder.started == []
    assert recorder.stopped == 0


def test_a_cluster_that_does_not_answer_is_said(recorder: Recorder) -> None:
    recorder.error = ConnectionError("nobody\nthere")
    with (
        pytest.raises(ConfigError, match=r"--ray head:1: no Ray cluster answers \(nobody there\)"),
        connected("head:1"),
    ):
        pass


def test_a_missing_package_is_said_with_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.importlib, "import_module", missing)
    for package in (packages.ray, packages.fsspec, packages.pyarrow, packages.parquet):
        with pytest.raises(ConfigError, match=r"pip install 'perpixel\[cluster\]'"):
            package()


def missing(name: str) -> Any:
    raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])


def test_a_package_that_is_broken_says_so_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'numpyro'", name="numpyro")

    monkeypatch.setattr(packages.importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="numpyro"):
        packages.ray()
