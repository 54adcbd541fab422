"""An image that ends every worker is found and left out; the images beside it are done."""

from __future__ import annotations

from perpixel.delivery.cluster.attempts import IMAGE, Attempts


def test_groups_are_counted_apart_from_each_other() -> None:
    attempts = Attempts()
    assert [attempts.begin("a"), attempts.begin("b"), attempts.begin("a")] == [1, 1, 2]


def test_an_image_may_be_begun_so_often_and_no_more() -> None:
    attempts = Attempts()
    may = [attempts.may_begin("killer") for _ in range(IMAGE + 2)]
    assert may == [True] * IMAGE + [False] * 2


def test_an_image_that_was_survived_is_innocent() -> None:
    attempts = Attempts()
    for _ in range(10):
        assert attempts.may_begin("innocent")
        attempts.survived("innocent")
