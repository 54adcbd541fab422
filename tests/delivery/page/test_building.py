"""The page as Gradio serves it: it asks nobody else, and tells nothing that it should not."""

from __future__ import annotations

import builtins
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import numpy as np
import pytest

from delivery.page.conftest import LARGEST_BYTES, serving
from perpixel.delivery.page.gradio_package import gradio
from perpixel.errors import ConfigError
from perpixel.inference.predictor import Model

httpx = pytest.importorskip("httpx")


class Loaded(HTMLParser):
    """What a browser fetches, or begins to connect to, when it reads a document."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Collect the addresses that a tag loads."""
        values = dict(attributes)
        for name in ("src", "srcset", "data", "poster", "href"):
            address = values.get(name)
            if address and not (name == "href" and tag == "a"):
                self.found.append(address)


def test_the_document_and_its_styles_name_no_other_host(address: str) -> None:
    with httpx.Client(base_url=address) as client:
        document = client.get("/").text
        parser = Loaded()
        parser.feed(document)
        theme = client.get("/theme.css").text
        # The browser loads these later.
        assert client.get("/config").json()["stylesheets"] == []
    assert parser.found
    hosts = {urlsplit(urljoin(address, found)).netloc for found in parser.found}
    assert hosts == {urlsplit(address).netloc}
    assert not re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", theme + document)


def test_there_are_no_analytics_no_history_and_no_footer(address: str) -> None:
    with httpx.Client(base_url=address) as client:
        config = client.get("/config").json()
    assert config["analytics_enabled"] is False
    assert config["footer_links"] == []
    assert not config.get("run_history")
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_temporary_files_are_deleted_when_they_are_old_and_at_the_end(
    model: Model, scene: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gradio")
    from fastapi import FastAPI

    from perpixel.delivery.page import build_page, mount_page

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    page = build_page(model.predict, model, [scene])
    every, old = page.delete_cache
    assert 0 < every < old <= 3600
    (example,) = written(tmp_path)
    with serving(mount_page(FastAPI(), page)) as address, httpx.Client(base_url=address) as client:
        sent = {"files": ("a.png", example.read_bytes() + b"another", "image/png")}
        (upload,) = client.post("/gradio_api/upload", files=sent).json()
        file = {"path": upload, "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}
        answer = ask(address, "picture", "change", [file, None, 0.5])
        assert answer["success"]
        # The upload, the mask, the overlay and the confidence, besides the example.
        assert len(written(tmp_path)) == 5
    assert written(tmp_path) == [example]


def written(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def test_no_part_of_the_page_is_offered_to_programs(address: str) -> None:
    with httpx.Client(base_url=address) as client:
        offered = client.get("/gradio_api/info").json()
    assert offered["named_endpoints"] == {}
    assert offered["unnamed_endpoints"] == {}


def event(config: dict[str, Any], part: str, kind: str) -> int:
    """The number of the event of this kind at the part of that name."""
    (number,) = (one["id"] for one in config["components"] if one["props"].get("elem_id") == part)
    (found,) = (one["id"] for one in config["dependencies"] if [number, kind] in one["targets"])
    return int(found)


def ask(address: str, part: str, kind: str, data: list[Any]) -> dict[str, Any]:
    """What the server answers at last to a hand-made request."""
    with httpx.Client(base_url=address, timeout=60) as client:
        config = client.get("/config").json()
        request = {
            "fn_index": event(config, part, kind),
            "data": data,
            "session_hash": "forged",
            "event_data": None,
            "trigger_id": None,
        }
        joined = client.post("/gradio_api/queue/join", json=request)
        assert joined.status_code == 200, joined.text
        with client.stream("GET", "/gradio_api/queue/data?session_hash=forged") as lines:
            for line in lines.iter_lines():
                if line.startswith("data:"):
                    message: dict[str, Any] = json.loads(line.removeprefix("data:"))
                    if message["msg"] == "process_completed":
                        return message
    raise AssertionError("no answer")


@pytest.mark.parametrize("part", ["picture", "opacity"])
def test_a_forged_request_makes_the_server_fetch_nothing(
    part: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    async def fetch(url: str, *_: object, **__: object) -> str:
        fetched.append(url)
        return __file__

    monkeypatch.setattr("gradio.processing_utils.async_ssrf_protected_download", fetch)
    far = {"path": "http://example.org/a.png", "meta": {"_type": "gradio.FileData"}}
    data = [far, None, 0.5] if part == "picture" else [None, [], far]
    answer = ask(address, part, "change" if part == "picture" else "input", data)
    assert answer["success"] is False
    assert fetched == []


def test_a_forged_request_reads_no_file_of_the_server(
    address: str, scene: np.ndarray, tmp_path: Path
) -> None:
    from PIL import Image

    secret = tmp_path / "secret.png"
    Image.fromarray(scene).save(secret)
    near = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    answer = ask(address, "picture", "change", [near, None, 0.5])
    assert answer["success"] is False
    assert "mean confidence" not in json.dumps(answer)
    with httpx.Client(base_url=address) as client:
        assert client.get(f"/gradio_api/file={secret}").status_code == 403


def test_an_upload_of_too_many_bytes_is_refused_by_the_server(address: str) -> None:
    with httpx.Client(base_url=address) as client:
        files = {"files": ("a.png", bytes(LARGEST_BYTES + 1), "image/png")}
        answer = client.post("/gradio_api/upload", files=files)
    assert answer.status_code == 413


def test_without_gradio_the_command_to_install_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str) -> object:
        if name == "gradio":
            raise ModuleNotFoundError("No module named 'gradio'", name="gradio")
        return real(name)

    gradio.cache_clear()
    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(ConfigError, match=r"pip install 'perpixel\[serve\]'"):
        gradio()
