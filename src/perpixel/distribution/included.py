"""The models that come along: the files of one folder of the package; no list says which."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "models"


def included() -> dict[str, Path]:
    """The model files that come along, by their names."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}


def card_of(model: Path) -> Path | None:
    """The model card beside a model that comes along: its data, licence, scores and limits."""
    card = model.with_suffix(".md")
    return card if model.parent == FOLDER and card.is_file() else None
