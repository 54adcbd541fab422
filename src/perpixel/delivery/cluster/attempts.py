"""Which images end the workers that predict them: counted where no worker's end reaches."""

from __future__ import annotations

from collections import Counter

# So often is a group of images begun before its images are begun one by one, and then each of them.
GROUP, IMAGE = 3, 3


class Attempts:
    """Counts how often groups of images, and single images, were begun.

    A worker that ends in the middle of a group, by a signal or for lack of memory, is replaced and
    the group is begun again. A group that has ended so many workers holds an image that ends
    every one: it is found by announcing each image of it, and then left out.
    """

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()

    def begin(self, group: str) -> int:
        """The how-manyth time this is that the group is begun."""
        self._begun[f"group {group}"] += 1
        return self._begun[f"group {group}"]

    def may_begin(self, image: str) -> bool:
        """Whether an image of a suspicious group may be begun, which is counted."""
        self._begun[f"image {image}"] += 1
        return self._begun[f"image {image}"] <= IMAGE

    def survived(self, image: str) -> None:
        """The worker lives: what ended others was another image."""
        del self._begun[f"image {image}"]
