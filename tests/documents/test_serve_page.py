"""The lines of the page about the server, against a server."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from delivery.server.conftest import Serving, labels, model, picture, serving
from PIL import Image

from documents.conftest import PAGES, script
from perpixel.inference.predictor import Model

__all__ = ["labels", "model", "serving"]
blocks = script("blocks")
PAGE = PAGES["docs/howto/serve.md"]
LOCAL = "http://127.0.0.1:8000"
TOKEN = "0123456789abcdef"
CURL = [
    line
    for block in blocks.blocks(PAGE, "bash")
    for line in block.text.splitlines()
    if line.startswith("curl ")
]


@pytest.fixture
def street(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture(40, 60)).save("street.jpg")
    Path("token").write_text(TOKEN, encoding="ascii")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("line", CURL)
def test_a_curl_line_gets_what_the_page_says(
    line: str, serving: Serving, model: Model, street: None
) -> None:
    with serving(model, token=TOKEN if "token" in line else None) as client:
        address = str(client.base_url).rstrip("/")
        words = shlex.split(line.replace(LOCAL, address).replace("$(cat token)", TOKEN))
        quiet = [*words, "--silent", "--fail", "--noproxy", "*"]
        done = subprocess.run(quiet, capture_output=True, check=True)
    if "--output" in words:
        with Image.open(words[words.index("--output") + 1]) as found:
            assert found.format == "PNG"
            assert (found.size == (60, 40)) == ("overlay" not in line)
    else:
        assert done.stdout.startswith(b"{")


def test_the_python_example_runs(
    serving: Serving, model: Model, street: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = (block.text for block in blocks.blocks(PAGE, "py"))
    with serving(model) as client:
        exec(example.replace(LOCAL, str(client.base_url)), {})
    assert any(name in capsys.readouterr().out for name in model.labels.names)
