"""What the OpenAPI description says is so: asked by a program that reads nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig

from delivery.server.conftest import Serving, picture, png
from perpixel.inference.predictor import Model

EXAMPLES = 15
CONFIG = Path(__file__).with_name("schemathesis.toml")


def asking(operation: schemathesis.APIOperation, headers: dict[str, str]) -> Callable[[], None]:
    """A test of one address and method."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers)

    return ask


@pytest.mark.parametrize("token", [None, "0123456789abcdef"])
def test_the_server_does_what_its_description_says(
    serving: Serving, model: Model, token: str | None
) -> None:
    load_all_checks()
    images = st.builds(
        lambda height, width: png(picture(height, width)), st.integers(1, 40), st.integers(1, 40)
    )
    for media in ("image/png", "application/octet-stream"):
        schemathesis.openapi.media_type(media, images | st.binary(max_size=50))
    config = SchemathesisConfig.from_path(CONFIG)
    with serving(model, token=token) as client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        described = client.get("/openapi.json").json()
        schema = schemathesis.openapi.from_dict(described, config=config)
        schema.config.update(base_url=str(client.base_url))
        for operation in schema.get_all_operations():
            asking(operation.ok(), headers)()
