"""What a browser would find in a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class Reader(HTMLParser):
    """Collects the elements of a page, and complains about those that are never closed."""

    EMPTY = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


def assert_self_contained(page: str) -> None:
    """Nothing in the page makes a browser ask for anything else, and every picture has words."""
    reader = Reader(page)
    anchors = {attributes["id"] for _, attributes in reader.elements if "id" in attributes}
    for tag, attributes in reader.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base"}
        assert not any(name.startswith("on") for name in attributes)
        if "href" in attributes:
            assert attributes["href"].startswith("#")
            assert attributes["href"][1:] in anchors
        if "src" in attributes:
            assert attributes["src"].startswith("data:image/")
        assert "url(" not in attributes.get("style", "")
    style = "".join(re.findall(r"<style>(.*?)</style>", page, re.DOTALL))
    assert style
    assert "url(" not in style
    assert "@import" not in style
    assert all(attributes.get("alt") for attributes in reader.all("img"))
    assert len(reader.all("title")) == len(reader.all("h1")) == 1
    assert len(reader.all("h2")) >= 5
