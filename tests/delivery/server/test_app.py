"""What each address answers."""

from __future__ import annotations

import base64
import io
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from inference.conftest import Coarse
from PIL import Image

from delivery.server.conftest import Serving, mask_in, picture, png
from perpixel.data.run_lengths import decode_runs
from perpixel.inference.predictor import Model
from perpixel.inference.results import encoded
from perpixel.labels import LabelSpace
from perpixel.preprocessing import Preprocessing

TOKEN = "0123456789abcdef"


def test_every_client_gets_the_mask_of_its_own_image(serving: Serving, model: Model) -> None:
    sizes = [(31, 45), (64, 48), (31, 45), (17, 90), (64, 48)]
    pictures = [picture(*size, seed) for seed, size in enumerate(sizes * 8)]
    with serving(model) as client, ThreadPoolExecutor(16) as pool:

        def ask(pixels: np.ndarray) -> np.ndarray:
            return mask_in(client.post("/v1/segment", content=png(pixels)))

        for pixels, mask in zip(pictures, pool.map(ask, pictures), strict=True):
            assert np.array_equal(mask, model.predict(pixels).mask)


def test_the_png_is_the_file_that_predict_writes(serving: Serving, model: Model) -> None:
    pixels = picture(40, 60)
    with serving(model) as client:
        given = client.post("/v1/segment", content=png(pixels))
    assert given.headers["content-type"] == "image/png"
    assert given.content == model.predict(pixels).png()


def test_a_form_is_answered_like_the_file_itself(serving: Serving, model: Model) -> None:
    file = png(picture(40, 60))
    with serving(model) as client:
        plain = client.post("/v1/segment", content=file, headers={"Content-Type": "text/plain"})
        form = client.post("/v1/segment", files={"other": b"x", "image": ("../a.gif", file)})
    assert form.status_code == 200
    assert form.content == plain.content


def test_accept_chooses_the_form_of_the_answer(serving: Serving, model: Model) -> None:
    pixels = picture(40, 60)
    found = model.predict(pixels)
    with serving(model) as client:

        def ask(accept: str) -> bytes:
            given = client.post("/v1/segment", content=png(pixels), headers={"Accept": accept})
            assert given.status_code == 200, given.text
            return given.content

        assert np.array_equal(np.load(io.BytesIO(ask("application/x-npy"))), found.mask)
        assert ask("image/png;view=overlay") == encoded(found.overlay(), "png")
        regions = json.loads(ask("application/json"))
        refused = client.post("/v1/segment", content=png(pixels), headers={"Accept": "text/html"})
    assert refused.status_code == 406
    painted = np.full(found.mask.shape, 255, np.uint8)
    for one in regions["annotations"]:
        where = decode_runs(one["segmentation"]["counts"], (40, 60))
        painted[where] = one["category_id"] - 1
        assert one["area"] == where.sum()
    assert np.array_equal(painted, found.mask)


def test_a_grey_and_a_turned_image_are_read_as_predict_reads_them(
    serving: Serving, model: Model
) -> None:
    grey = Image.fromarray(picture(30, 50)[:, :, 0])
    turned = Image.fromarray(picture(30, 50))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    turned.save(file, "PNG", exif=exif)
    with serving(model) as client:
        mask = mask_in(client.post("/v1/segment", content=file.getvalue()))
        assert mask.shape == (50, 30)
        assert np.array_equal(mask, model.predict(Image.open(file)).mask)
        of_grey = mask_in(client.post("/v1/segment", content=png(np.asarray(grey))))
    assert np.array_equal(of_grey, model.predict(grey).mask)


def test_a_model_of_many_bands_is_served(serving: Serving, labels: LabelSpace) -> None:
    preprocessing = Preprocessing(bands=5, mean=(0.0,) * 5, std=(1.0,) * 5, conversion="none")
    model = Model(Coarse(4, 5), labels, preprocessing, torch.device("cpu"))
    bands = np.random.default_rng(0).random((20, 30, 5), np.float32)
    file = io.BytesIO()
    np.save(file, bands)
    with serving(model) as client:
        mask = mask_in(client.post("/v1/segment", content=file.getvalue()))
        other = client.post("/v1/segment", content=png(picture(20, 30)))
    assert np.array_equal(mask, model.predict(bands).mask)
    assert other.status_code == 422
    assert other.json()["code"] == "other_bands"


def test_the_model_is_described(serving: Serving, model: Model) -> None:
    with serving(model, max_pixels=1234) as client:
        said = client.get("/v1/model").json()
    assert [one["name"] for one in said["classes"]] == list(model.labels.names)
    assert [tuple(one["colour"]) for one in said["classes"]] == list(model.labels.colours)
    assert said["ignore_index"] == 255
    assert said["preprocessing"] == model.preprocessing.model_dump(mode="json")
    assert said["network"] == {"name": "coarse"}
    assert (said["runtime"], said["precision"]) == ("torch", "fp32")
    assert said["limits"]["max_pixels"] == 1234


def test_health_readiness_and_metrics(serving: Serving, model: Model) -> None:
    with serving(model) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").status_code == 200
        client.post("/v1/segment", content=png(picture(8, 8)))
        client.post("/v1/segment", content=b"nothing")
        client.get("/anything")
        text = client.get("/metrics").text
    assert 'perpixel_requests_total{path="/v1/segment",status="200"} 1.0' in text
    assert 'perpixel_requests_total{path="/v1/segment",status="415"} 1.0' in text
    assert 'perpixel_requests_total{path="other",status="404"} 1.0' in text
    assert 'perpixel_stage_seconds_count{stage="network"} 1.0' in text
    assert "perpixel_requests_waiting 0.0" in text


def test_what_the_token_covers(serving: Serving, model: Model) -> None:
    file = png(picture(8, 8))
    basic = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
    wrong = (
        {},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": "Bearer é"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Digest {TOKEN}"},
        {"Authorization": "Basic ?"},
        {"Authorization": f"Basic {base64.b64encode(TOKEN.encode()).decode()}"},
    )
    with serving(model, token=TOKEN) as client:
        assert client.post("/v1/segment", content=file).status_code == 200
        by_password = client.get("/v1/model", headers={"Authorization": f"Basic {basic}"})
        assert by_password.status_code == 200
        described = client.get("/openapi.json").json()
        for header in wrong:
            client.headers.pop("Authorization", None)
            raw = {key: value.encode() for key, value in header.items()}
            for path in ("/", "/v1/model", "/metrics", "/openapi.json", "/gradio_api/info", "/a/b"):
                refused = client.get(path, headers=raw)
                assert refused.status_code == 401
                assert refused.headers["www-authenticate"].startswith("Bearer")
                assert TOKEN not in refused.text
            assert client.post("/v1/segment", content=file, headers=raw).status_code == 401
            assert client.get("/healthz", headers=raw).status_code == 200
            assert client.get("/readyz", headers=raw).status_code == 200
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        counted = client.get("/metrics").text
    assert 'perpixel_requests_total{path="/v1/segment",status="401"} 8.0' in counted
    assert described["paths"]["/v1/segment"]["post"]["security"] == [{"token": []}]
    assert described["paths"]["/healthz"]["get"]["security"] == []


def test_other_sites_pages_are_let_in_only_where_they_are_named(
    serving: Serving, model: Model
) -> None:
    origin = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    with serving(model) as client:
        assert "access-control-allow-origin" not in client.get("/healthz", headers=origin).headers
        assert client.options("/v1/segment", headers=origin).status_code == 405
    with serving(model, origins=("https://a.example",), token=TOKEN) as client:
        # A browser asks first, without the token.
        allowed = client.options("/v1/segment", headers={**origin, "Authorization": ""})
        assert allowed.headers["access-control-allow-origin"] == "https://a.example"
        other = client.get("/v1/model", headers={"Origin": "https://b.example"})
    assert "access-control-allow-origin" not in other.headers


def test_unknown_addresses_and_methods_are_told_in_the_same_form(
    serving: Serving, model: Model
) -> None:
    with serving(model) as client:
        nothing, method = client.get("/etc/passwd"), client.get("/v1/segment")
        scripts = [client.get(path).status_code for path in ("/docs", "/redoc")]
    assert (nothing.status_code, nothing.json()["code"]) == (404, "not_found")
    assert (method.status_code, method.headers["allow"]) == (405, "POST")
    assert method.json()["code"] == "method_not_allowed"
    assert scripts == [404, 404]


def test_a_fault_of_the_server_is_told_without_its_traceback_and_the_next_image_is_computed(
    serving: Serving, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = model.runtime.scores

    def broken(batch: torch.Tensor) -> Any:
        if batch.shape[2] == 13:
            raise RuntimeError("/home/somebody/secret")
        return scores(batch)

    monkeypatch.setattr(model.runtime, "scores", broken)
    with serving(model) as client:
        failed = client.post("/v1/segment", content=png(picture(13, 8)))
        after = client.post("/v1/segment", content=png(picture(8, 8)))
    assert failed.status_code == 500
    assert failed.json()["code"] == "not_computed"
    assert "secret" not in failed.text
    assert after.status_code == 200


def test_a_fault_outside_of_the_queue_is_told_in_the_same_words(
    serving: Serving, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(model) as client:
        segmenting = client.app.state.segmenting  # type: ignore[attr-defined]
        monkeypatch.setattr(segmenting, "_checked", lambda *arguments: {}["/home/secret"])
        failed = client.post("/v1/segment", content=png(picture(8, 8)))
        assert client.get("/healthz").status_code == 200
    assert failed.json() == {
        "code": "not_computed",
        "message": "The server could not compute the image.",
    }


def test_no_address_that_a_client_names_is_asked(serving: Serving, model: Model) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bait, serving(model) as client:
        bait.settimeout(0.2)
        url = f"http://127.0.0.1:{bait.getsockname()[1]}/a.png"
        answers = [
            client.post("/v1/segment", content=url.encode()),
            client.post("/v1/segment", json={"url": url}),
            client.post("/v1/segment", data={"image": url}),
            client.post("/v1/segment", files={"image": url.encode()}),
            client.post("/v1/segment", params={"url": url, "image": url}),
        ]
        with pytest.raises(TimeoutError):
            bait.accept()
    assert {one.status_code for one in answers} == {415}


def test_the_description_names_every_answer_and_has_examples(
    serving: Serving, model: Model
) -> None:
    with serving(model) as client:
        described = client.get("/openapi.json").json()
    operation = described["paths"]["/v1/segment"]["post"]
    wanted = {"200", "400", "406", "408", "413", "415", "422", "429", "500", "503"}
    assert set(operation["responses"]) == wanted
    assert set(operation["requestBody"]["content"]) >= {"image/png", "multipart/form-data"}
    assert operation["responses"]["200"]["content"]["application/json"]["example"]
    assert described["components"]["schemas"]["ProblemBody"]["properties"]["code"]["examples"]
    assert set(described["paths"]) == {
        *("/v1/segment", "/v1/model", "/healthz", "/readyz", "/metrics"),
    }
