"""The page at `/`, behind the server's own addresses and its token."""

from __future__ import annotations

import io

import numpy as np
import pytest

from delivery.server.conftest import mask_in, picture, png, running
from perpixel.delivery.server.app import create_app
from perpixel.delivery.server.settings import Settings
from perpixel.inference.predictor import Model

pytest.importorskip("perpixel.delivery.page")

TOKEN = "0123456789abcdef"


# What gradio and its own parts warn of is not ours to mend.
@pytest.mark.filterwarnings("default")
def test_the_page_is_at_the_root_and_the_token_covers_all_of_it(model: Model) -> None:
    from perpixel.delivery.server.with_page import add_page

    settings = Settings(token=TOKEN)
    app = create_app(model, {"name": "coarse"}, settings)
    add_page(app, model, settings)
    pixels = picture(20, 30)
    with running(app, settings) as (_, client):
        page = client.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert client.get("/", auth=("anybody", TOKEN)).status_code == 200
        assert client.get("/v1/model").json()["network"] == {"name": "coarse"}
        mask = mask_in(client.post("/v1/segment", content=png(pixels)))
        found = app.state.segmenting.image(pixels)
        files = {"files": ("a.png", io.BytesIO(png(pixels)))}
        assert client.post("/gradio_api/upload", files=files).status_code == 200
        del client.headers["Authorization"]
        for path in (
            "/",
            "/config",
            "/gradio_api/info",
            "/theme.css",
            "/gradio_api/file=/etc/passwd",
        ):
            assert client.get(path).status_code == 401
        assert client.post("/gradio_api/upload", files=files).status_code == 401
        assert client.get("/healthz").status_code == 200
    assert np.array_equal(mask, found.mask)
    assert not app.state.segmenting.alive
