"""Which form of an answer a client wants."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpixel.delivery.server.accept import chosen, parse_accept
from perpixel.delivery.server.answers import MASK, NUMPY, OFFERED, OVERLAY, REGIONS
from perpixel.delivery.server.problems import ProblemError


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, MASK),
        ("", MASK),
        ("*/*", MASK),
        ("image/*", MASK),
        ("image/png", MASK),
        ("IMAGE/PNG", MASK),
        ("application/json", REGIONS),
        ("application/*", REGIONS),
        ("application/x-npy", NUMPY),
        ("image/png;view=overlay", OVERLAY),
        ('image/png; View="overlay"', OVERLAY),
        ("text/html, application/json;q=0.5, image/png;q=0.4", REGIONS),
        ("image/png;q=0, */*", REGIONS),
        ("*/*;q=0.1, application/x-npy", NUMPY),
        ("image/png;q=0.2, image/png;view=overlay", OVERLAY),
        # What browsers send for a picture.
        ("image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", MASK),
        ("nonsense, application/json", REGIONS),
        ("application/json;q=much, image/png;q=0.1", MASK),
    ],
)
def test_the_form_that_is_wanted_most_is_made(header: str | None, wanted: object) -> None:
    assert chosen(header, OFFERED) is wanted


@pytest.mark.parametrize("header", ["text/html", "image/png;q=0", "image/png;view=x", "no", "*/x"])
def test_what_cannot_be_made_is_said_with_what_can(header: str) -> None:
    with pytest.raises(ProblemError, match="view=overlay") as raised:
        chosen(header, OFFERED)
    assert raised.value.status == 406


@given(st.text(max_size=200))
def test_no_header_is_a_fault(header: str) -> None:
    for one in parse_accept(header):
        assert 0 <= one.quality <= 1
    with suppress(ProblemError):
        assert chosen(header, OFFERED) in OFFERED
