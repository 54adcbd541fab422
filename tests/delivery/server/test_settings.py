"""Limits and the token."""

from __future__ import annotations

from pathlib import Path

import pytest

from perpixel.delivery.server import packages
from perpixel.delivery.server.settings import TOKEN_VARIABLE, Settings, read_token
from perpixel.errors import ConfigError

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("name", ["queue", "batch", "max_bytes", "max_pixels", "seconds"])
def test_a_limit_that_lets_nothing_through_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Settings(**{name: 0.0 if name == "seconds" else 0})
    assert raised.value.where == name


@pytest.mark.parametrize("token", ["", "short", "with a space in it!", "ünprintable-äöü-token"])
def test_a_token_that_is_easily_guessed_or_cannot_be_sent_is_refused(
    token: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="openssl rand"):
        Settings(token=token)
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    with pytest.raises(ConfigError, match=TOKEN_VARIABLE):
        read_token(None)
    file = tmp_path / "token"
    file.write_text(token, encoding="utf-8")
    with pytest.raises(ConfigError, match=str(file)):
        read_token(file)


def test_a_token_comes_from_a_file_or_the_environment_and_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert read_token(None) is None
    monkeypatch.setenv(TOKEN_VARIABLE, f"{TOKEN}\n")
    assert read_token(None) == TOKEN
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}2\n", encoding="ascii")
    assert read_token(file) == f"{TOKEN}2"
    assert TOKEN not in repr(Settings(token=TOKEN))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(tmp_path / "none")


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packages.check_packages()
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "uvicorn" else name)
    with pytest.raises(ConfigError, match=r"pip install 'perpixel\[serve\]'") as raised:
        packages.check_packages()
    assert raised.value.where == "uvicorn"


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_a_time_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="such as 30"):
        Settings(seconds=seconds)
