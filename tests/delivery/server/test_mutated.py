"""Damaged and hostile images, as the benchmark of that name sends them by the thousand."""

from __future__ import annotations

import http.client
import importlib.util
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest

from delivery.server.conftest import Serving
from perpixel.inference.predictor import Model

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "mutated_images.py"
COUNT = 400


def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))  # where a script finds those beside it
    spec = importlib.util.spec_from_file_location("mutated_images", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Pillow warns of what it dislikes in a file, and TIFFs of a kind it never finishes leave one open.
@pytest.mark.filterwarnings("default")
def test_each_is_answered_with_a_mask_or_with_what_is_wrong_with_it(
    serving: Serving, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutated = script(monkeypatch)
    originals = mutated.seeds()
    statuses = set()
    with serving(model, max_pixels=1_000_000) as client:
        address = urlsplit(str(client.base_url))
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        for name, data in originals.items():
            status, fault = mutated.ask(connection, data, "image/png")
            assert fault == "", name
            wanted = 415 if name in ("gif animated", "icon", "ppm") else 200
            assert status == wanted, name
        for number in range(COUNT):
            name, data = mutated.mutated(number, originals)
            status, fault = mutated.ask(connection, data, "image/png")
            assert fault == "", name
            statuses.add(status)
        connection.close()
        assert client.get("/readyz").status_code == 200
    assert {200, 400, 413, 415} <= statuses <= {200, 400, 413, 415, 422}
