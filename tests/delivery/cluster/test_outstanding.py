"""What is done again, and what is not."""

from __future__ import annotations

import pytest

from perpixel.delivery.cluster.images import Image
from perpixel.delivery.cluster.manifest import Known
from perpixel.delivery.cluster.outstanding import outstanding
from perpixel.delivery.cluster.store import Entry

IMAGE = Image("/images/a.jpg", "/images/a.jpg", "a.jpg", Entry(100, 5.0, "v1"))
DONE = Known(100, "v1", "a.png", 40, False)
BAD = Known(100, "v1", None, None, False)
UNLUCKY = Known(100, "v1", None, None, True)
WHOLE, CUT, OLD = Entry(40, 9.0, "x"), Entry(39, 9.0, "x"), Entry(40, 4.0, "x")
UNDATED = Entry(40, None, "x")


@pytest.mark.parametrize(
    ("known", "there", "expected"),
    [
        (None, None, "predict"),
        (DONE, WHOLE, "nothing"),
        (DONE, None, "predict"),
        (DONE, CUT, "predict over"),
        (BAD, None, "nothing"),
        (UNLUCKY, None, "predict"),
        (UNLUCKY, WHOLE, "predict over"),
        (None, WHOLE, "look"),
        (None, CUT, "look"),
        (None, OLD, "predict over"),
        (None, UNDATED, "predict over"),
        (Known(100, "v0", "a.png", 40, False), WHOLE, "predict over"),
        (Known(99, "v1", "a.png", 40, False), WHOLE, "predict over"),
        (Known(100, "v0", None, None, False), None, "predict"),
        (Known(100, "v1", "a.jpg.png", 40, False), None, "predict"),
    ],
)
def test_each_state_has_its_work(known: Known | None, there: Entry | None, expected: str) -> None:
    rows = {} if known is None else {IMAGE.address: known}
    files = {} if there is None else {"a.png": there}
    left = outstanding([IMAGE], ["a.png"], rows, files)
    found = "nothing"
    if left:
        (task,) = left
        assert (task.image, task.size, task.version, task.mask) == (
            *("/images/a.jpg", 100, "v1"),
            "a.png",
        )
        assert not (task.is_there and task.is_stale)
        found = "look" if task.is_there else "predict over" if task.is_stale else "predict"
    assert found == expected


def test_tasks_come_in_the_order_of_the_images() -> None:
    images = [
        Image(f"/{number}.jpg", f"/{number}.jpg", f"{number}.jpg", Entry(1, 1.0, "1"))
        for number in range(50)
    ]
    masks = [f"{number}.png" for number in range(50)]
    known = {f"/{number}.jpg": Known(1, "1", masks[number], 7, False) for number in range(0, 50, 3)}
    files = {masks[number]: Entry(7, 2.0, "") for number in range(0, 50, 3)}
    left = outstanding(images, masks, known, files)
    assert [task.mask for task in left] == [f"{number}.png" for number in range(50) if number % 3]
