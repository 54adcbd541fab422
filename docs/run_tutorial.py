"""Runs the commands of `tutorial.md` as they stand there, from a fresh clone.

    python docs/run_tutorial.py

Clones this repository into a temporary folder, and goes there from the installation to the report
of a trained model, as a reader would; stops at the first command that fails. It takes ten minutes
or so, and 6 GB on the disk of the temporary folder, which is removed at the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from blocks import blocks

ROOT = Path(__file__).resolve().parents[1]
LEFT = ("runs/a/model.safetensors", "scores.json", "masks/0160.png", "areas.csv", "report.html")


def as_script(page: str) -> str:
    """The shell and Python blocks of the page as one shell script, in their order."""
    parts = ["set -euo pipefail"]
    for block in blocks(page, "sh", "python"):
        if block.kind == "sh":
            lines = block.text.strip().splitlines()
            parts += [f"echo {_quoted('$ ' + line)}; {line}" for line in lines]
        else:
            parts.append(f"python <<'END_OF_PYTHON'\n{block.text}END_OF_PYTHON")
    return "\n".join(parts) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def main() -> int:
    """Clone, run, look at what is there."""
    with tempfile.TemporaryDirectory(prefix="tutorial-") as folder:
        clone = Path(folder) / "perpixel"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        # What the caller has switched on is not what a reader has.
        own = {
            name: value
            for name, value in os.environ.items()
            if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
        }
        page = (clone / "docs" / "tutorial.md").read_text(encoding="utf-8")
        bash = shutil.which("bash") or "bash"
        ended = subprocess.run([bash, "-c", as_script(page)], cwd=clone, env=own, check=False)
        if ended.returncode:
            print(f"a command of the tutorial ended with {ended.returncode}", file=sys.stderr)
            return 1
        missing = [name for name in LEFT if not (clone / name).is_file()]
        if missing:
            print(f"the tutorial did not leave {', '.join(missing)}", file=sys.stderr)
            return 1
        size = (clone / "report.html").stat().st_size
        print(f"from a folder of images to a report ({size / 1e6:.1f} MB): done")
        return 0


if __name__ == "__main__":
    sys.exit(main())
