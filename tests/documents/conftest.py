"""The pages, and the script beside them that finds their code."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from cli.conftest import drawn, model, run

__all__ = ["DOCS", "PAGES", "ROOT", "drawn", "model", "run", "script"]
ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def script(name: str) -> ModuleType:
    """A script of the documentation's folder, which is no package."""
    known = sys.modules.get(f"documentation_{name}")
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(f"documentation_{name}", DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(DOCS))  # where a script finds those beside it
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS))
    return module


# Every page that readers copy commands from.
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
}
