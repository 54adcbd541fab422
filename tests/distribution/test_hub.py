"""hf:// and push, against a small hub on this machine."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from distribution.stand_in import OWNER, TOKEN, Repository, StandIn
from perpixel.checkpoint import read_checkpoint, stored_checksum
from perpixel.distribution.hub import Address, fetch
from perpixel.distribution.model_file import model_file
from perpixel.distribution.push import push
from perpixel.errors import ModelError
from perpixel.inference.predictor import load

HERE = "hf://somebody/streets"
# The hub's client sends large files in a way that its HTTP library would have otherwise.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.mark.parametrize(
    ("text", "repository", "revision"),
    [
        ("hf://a/b", "a/b", None),
        ("a/b", "a/b", None),
        ("hf://a-1/b.c_d@v1.0", "a-1/b.c_d", "v1.0"),
        ("hf://a/b@refs/pr/1", "a/b", "refs/pr/1"),
    ],
)
def test_an_address_is_read(text: str, repository: str, revision: str | None) -> None:
    assert Address.of(text) == Address(repository, revision)


@pytest.mark.parametrize(
    "text", ["hf://a", "hf://", "hf://a/b/c", "hf://a/b@", "hf://a b/c", "ü/b"]
)
def test_another_text_is_no_address(text: str) -> None:
    with pytest.raises(ModelError, match="no address of a model"):
        Address.of(text)


def test_what_is_pushed_is_loaded_from_its_address(hub: StandIn, tiny: Path) -> None:
    pushed = push(tiny, "somebody/streets", licence="for research alone")
    files = hub.repositories["somebody/streets"].commits[pushed.address.revision or ""]
    assert files.keys() == {"model.safetensors", "README.md", "SHA256SUMS"}
    assert pushed.sha256 == hashlib.sha256(files["model.safetensors"]).hexdigest()
    ours, theirs = read_checkpoint(tiny), read_checkpoint(fetch(Address.of(HERE)))
    assert ours.weights.keys() == theirs.weights.keys()
    assert all(torch.equal(ours.weights[name], theirs.weights[name]) for name in ours.weights)
    assert theirs.provenance["licence"] == "for research alone"
    images = torch.randn(1, 3, 33, 47)
    with torch.no_grad():
        expected, found = (load(one).network(images) for one in (tiny, str(pushed.address)))
    assert torch.equal(expected.scores, found.scores)


def test_what_is_pushed_says_nothing_of_this_machines_folders(hub: StandIn, tiny: Path) -> None:
    push(tiny, HERE)
    for files in hub.repositories["somebody/streets"].commits.values():
        assert b"photographs" in files["model.safetensors"]
        assert not [name for name, content in files.items() if b"/home" in content]


def test_the_checksums_are_those_of_the_files(hub: StandIn, tiny: Path) -> None:
    commit = push(tiny, HERE).address.revision or ""
    files = hub.repositories["somebody/streets"].commits[commit]
    for line in files["SHA256SUMS"].decode().splitlines():
        total, name = line.split("  ")
        assert hashlib.sha256(files[name]).hexdigest() == total


def test_a_revision_stays_when_the_newest_moves_on(hub: StandIn, tiny: Path) -> None:
    first = push(tiny, HERE).address
    repository = hub.repositories["somebody/streets"]
    repository.refs["v1"] = repository.refs["main"]
    push(tiny, HERE, licence="another")
    assert read_checkpoint(model_file(HERE)).provenance["licence"] == "another"
    for older in (str(first), f"{HERE}@v1"):
        assert "licence" not in read_checkpoint(model_file(older)).provenance


def test_it_is_fetched_once(hub: StandIn, tiny: Path) -> None:
    push(tiny, HERE)
    hub.asked.clear()
    first, again = fetch(Address.of(HERE)), fetch(Address.of(HERE))
    assert first == again
    assert sum(one.startswith("GET /somebody/streets/resolve") for one in hub.asked) == 2


@pytest.mark.parametrize("how", ["stopped", "offline", "out of order"])
def test_without_the_hub_the_cache_answers(
    hub: StandIn, tiny: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    push(tiny, HERE)
    first = fetch(Address.of(HERE))
    if how == "stopped":
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    elif how == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        hub.down = True
    assert fetch(Address.of(HERE)) == first
    with pytest.raises(ModelError, match=r"cannot be reached, and the model is not in the cache"):
        fetch(Address.of("hf://somebody/else"))


def test_a_hub_that_never_answers_is_not_waited_for(
    hub: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perpixel.distribution.hub.TIMEOUT", 0.2)
    said: list[str] = []

    def ask() -> None:
        try:
            fetch(Address.of(HERE))
        except ModelError as error:
            said.append(str(error))

    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{mute.getsockname()[1]}")
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(60)
    assert "cannot be reached, and the model is not in the cache" in "".join(said)


def test_a_changed_byte_on_the_way_is_seen_and_not_kept(hub: StandIn, tiny: Path) -> None:
    push(tiny, HERE)
    hub.spoiled.add("model.safetensors")
    with pytest.raises(ModelError, match="what arrived is not what was pushed"):
        fetch(Address.of(HERE))
    hub.spoiled.clear()
    read_checkpoint(fetch(Address.of(HERE)))


def test_a_file_spoiled_before_it_was_summed_is_seen_by_its_own_checksum(
    hub: StandIn, tiny: Path
) -> None:
    content = tiny.read_bytes()
    content = content[:-1] + bytes([content[-1] ^ 1])
    sums = f"{hashlib.sha256(content).hexdigest()}  model.safetensors\n".encode()
    hub.repositories["somebody/streets"] = Repository(private=False)
    hub.repositories["somebody/streets"].commit({"model.safetensors": content, "SHA256SUMS": sums})
    with pytest.raises(ModelError, match="does not match its checksum"):
        load(HERE)


@pytest.mark.parametrize(
    "files", [{}, {"model.safetensors": b"x"}, {"SHA256SUMS": b"0" * 64 + b"  model.safetensors\n"}]
)
def test_a_repository_that_was_not_pushed_by_perpixel_is_refused(
    hub: StandIn, files: dict[str, bytes]
) -> None:
    hub.repositories["somebody/streets"] = Repository(private=False)
    hub.repositories["somebody/streets"].commit({"README.md": b"hello", **files})
    with pytest.raises(ModelError, match="no model that perpixel pushed"):
        fetch(Address.of(HERE))


def test_a_private_model_is_for_its_owner(
    hub: StandIn, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(tiny, HERE, private=True)
    assert hub.repositories["somebody/streets"].private
    fetch(Address.of(HERE))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", constants.HF_HUB_CACHE + "2")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ModelError, match=r"no such model, or not for you.*log in with") as caught:
        fetch(Address.of(HERE))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("hf://somebody/nothing", "no such model"),
        ("hf://somebody/streets@nothing", "no such revision"),
    ],
)
def test_what_is_not_there_is_said(hub: StandIn, tiny: Path, address: str, said: str) -> None:
    push(tiny, HERE)
    with pytest.raises(ModelError, match=said):
        load(address)


@pytest.mark.parametrize(
    ("token", "repository", "said"),
    [
        ("", "somebody/streets", "there is no token on this machine. Log in"),
        ("wrong", "somebody/streets", r"refuses \(401\)"),
        (TOKEN, "other/streets", r"refuses \(403\)"),
        (TOKEN, "somebody/streets@v1", "Leave the revision out"),
        (TOKEN, "streets", "no address"),
    ],
)
def test_a_push_that_may_not_be_is_said(
    hub: StandIn, tiny: Path, monkeypatch: pytest.MonkeyPatch, token: str, repository: str,
    said: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ModelError, match=said) as caught:
        push(tiny, repository)
    assert len(str(caught.value).splitlines()) == 1
    assert hub.repositories == {}


def test_a_push_without_the_hub_is_said(
    hub: StandIn, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"http://127\.0\.0\.1:9") as caught:
        push(tiny, HERE)
    assert len(str(caught.value).splitlines()) == 1


def test_the_clients_own_settings_say_which_hub_and_which_cache(
    hub: StandIn, tiny: Path, tmp_path: Path
) -> None:
    code = (
        "import sys, perpixel; from perpixel.cli.app import app;"
        f"app(['push', {str(tiny)!r}, 'somebody/streets'], standalone_mode=False);"
        f"print(perpixel.load({HERE!r}).labels.names[0])"
    )
    environment = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "sky"
    assert list((tmp_path / "home/hub").glob(f"models--{OWNER}--streets/snapshots/*/*"))


def test_the_files_own_checksum_says_which_model_it_is(hub: StandIn, tiny: Path) -> None:
    push(tiny, HERE)
    assert stored_checksum(model_file(HERE)) != stored_checksum(tiny)  # it names no folders
    push(model_file(HERE), "somebody/again")
    assert stored_checksum(model_file("hf://somebody/again")) == stored_checksum(model_file(HERE))
