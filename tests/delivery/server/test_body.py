"""Images in forms, as clients write them."""

from __future__ import annotations

from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpixel.delivery.server.body import declared_length, image_in_form, media_type
from perpixel.delivery.server.problems import ProblemError


def form(files: list[tuple[str, tuple[str, bytes]]]) -> tuple[bytes, dict[bytes, bytes]]:
    request = httpx.Request("POST", "http://a", files=files)
    kind, parameters = media_type(request.headers["content-type"])
    assert kind == "multipart/form-data"
    return request.read(), parameters


@given(
    st.binary(max_size=200).flatmap(
        lambda part: st.lists(st.sampled_from([part, b"\r\n", b"--", b"\r\n--", b"\r\n\r\n"])).map(
            b"".join
        )
    ),
    st.text(max_size=20),
)
def test_the_image_comes_out_as_it_went_in(content: bytes, name: str) -> None:
    body, parameters = form([("a", ("b", b"c")), ("image", (name, content)), ("d", ("e", b"f"))])
    assert image_in_form(body, parameters) == content
    assert image_in_form(b"a preamble\r\n" + body, parameters) == content
    assert image_in_form(body + b"an epilogue", parameters) == content


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("picture", ("a.png", b"x"))], "no part called 'image'"),
        ([("image", ("a", b"x")), ("image", ("b", b"x"))], "2 parts called 'image'"),
        ([(f"a{number}", ("a", b"x")) for number in range(99)], "more than 16 parts"),
    ],
)
def test_a_form_has_one_image(files: list[tuple[str, tuple[str, bytes]]], message: str) -> None:
    with pytest.raises(ProblemError, match=message) as raised:
        image_in_form(*form(files))
    assert raised.value.status == 400


@given(st.data())
def test_a_damaged_form_is_refused_or_read(data: st.DataObject) -> None:
    body, parameters = form([("image", ("a.png", b"content"))])
    at = data.draw(st.integers(0, len(body) - 1))
    changed = data.draw(
        st.sampled_from([body[:at], body[:at] + b"\r\n" + body[at:], body[:at] + b"?" + body[at:]])
    )
    with suppress(ProblemError):
        assert image_in_form(changed, parameters) in changed


def test_a_form_without_a_boundary_or_an_end_is_refused() -> None:
    body, parameters = form([("image", ("a.png", b"content"))])
    with pytest.raises(ProblemError, match="no boundary"):
        image_in_form(body, {})
    with pytest.raises(ProblemError, match="no boundary"):
        image_in_form(body, {b"boundary": b"x" * 71})
    with pytest.raises(ProblemError, match="last boundary is missing"):
        image_in_form(body[:-4], parameters)


def test_a_length_is_a_number() -> None:
    assert declared_length(None) is None
    assert declared_length("12") == 12
    for wrong in ("", "-1", "1.5", "0x9", "²", "1 2"):
        with pytest.raises(ProblemError, match="not a number"):
            declared_length(wrong)
