"""The wheel as somebody has it who installs it: in an empty environment, without the network.

    python benchmarks/installed.py [--model street] [--wheel dist/perpixel-….whl] [--calls 5]

Makes an environment, installs the wheel with all its dependencies (some minutes, 6 GB; --borrow
takes those of this environment instead), and from an empty folder times `perpixel --help` and
`perpixel predict MODEL photo.jpg` on two cores: the very first call, and those after it. Every
process that is started there finds no network. Keeps benchmarks/results/installed.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("results") / "installed.json"
CORES = 2
# Read by every Python of the environment when it starts.
NO_NETWORK = '''"""No network: a connection to another machine is an error that says where to."""

import socket


def _refuse(*arguments, **_):
    raise OSError(f"there is no network here, and {arguments[-1]!r} was asked for")


_connect = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex")}


def _local(name):
    def connect(self, address):
        if self.family != socket.AF_UNIX:
            _refuse(address)
        return _connect[name](self, address)

    return connect


for _name in _connect:
    setattr(socket.socket, _name, _local(_name))
socket.getaddrinfo = _refuse
'''


def build_wheel(folder: Path) -> Path:
    """A wheel of this source, built with the hatchling that is installed here."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.whl"))


def environment(folder: Path, wheel: Path, *, borrow: bool) -> Path:
    """An environment with the wheel installed, in which nothing finds a network.

    Args:
        folder: where it is made.
        wheel: what is installed.
        borrow: the wheel's dependencies are those of the environment that runs this, not installed
            anew.

    Returns:
        its `bin` folder.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    alone = ["--no-deps", "--no-index"] if borrow else []
    subprocess.run([*pip, *alone, "--disable-pip-version-check", str(wheel)], check=True)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    if borrow:
        # Only the folder: what its own .pth files add, such as a source tree, is not followed.
        theirs = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
        (packages / "borrowed.pth").write_text("\n".join(sorted(theirs)) + "\n")
    (packages / "sitecustomize.py").write_text(NO_NETWORK)
    return folder / "bin"


def surroundings(home: Path) -> dict[str, str]:
    """Environment variables with no cache, no login and no source tree of whoever runs this."""
    ours = {"HOME": str(home), "PERPIXEL_CACHE": str(home / "cache"), "XDG_CACHE_HOME": str(home)}
    taken = ("PYTHON", "HF_", "PERPIXEL_", "PIP_", "VIRTUAL_ENV")
    rest = {name: value for name, value in os.environ.items() if not name.startswith(taken)}
    return {**rest, **ours}


def call(command: Sequence[object], folder: Path, home: Path) -> tuple[float, str]:
    """Seconds of a command on two cores, and what it printed.

    Raises:
        RuntimeError: it failed, or said something on stderr that is no progress.
    """
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    begun = time.perf_counter()
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=surroundings(home),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr}{done.stdout}")
    return seconds, done.stdout


def main() -> None:
    """Install, call, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="street", help="the name of one that comes along")
    parser.add_argument("--wheel", type=Path, help="else one is built of this source")
    parser.add_argument("--calls", type=int, default=5, help="after the first one")
    parser.add_argument("--borrow", action="store_true", help="this environment's dependencies")
    options = parser.parse_args()

    from measure import machine
    from PIL import Image

    from perpixel.delivery.scenes import draw

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = options.wheel or build_wheel(folder / "dist")
        begun = time.perf_counter()
        programs = environment(folder / "venv", wheel.resolve(), borrow=options.borrow)
        installing = time.perf_counter() - begun
        empty, home = folder / "empty", folder / "home"
        empty.mkdir()
        home.mkdir()
        Image.fromarray(draw(0, 0, 720, 960)[0]).save(empty / "photo.jpg")
        command = [programs / "perpixel", "predict", options.model, "photo.jpg"]
        first, said = call(command, empty, home)
        later = [call(command, empty, home)[0] for _ in range(options.calls)]
        helps = [call([programs / "perpixel", "--help"], empty, home)[0] for _ in range(3)]
        written = sorted(path.name for path in (empty / "predicted").iterdir())
    if written != ["photo.png", "photo_overlay.jpg"]:
        raise SystemExit(f"not a mask and an overlay: {written}")
    kept = {
        "machine": machine(),
        "cores": CORES,
        "wheel": wheel.name,
        "dependencies": "borrowed" if options.borrow else "installed",
        "model": options.model,
        "image": "720×960",
        "said": said.splitlines()[0],
        "seconds": {
            "installation": round(installing, 1),
            "first prediction": round(first, 2),
            "later predictions": [round(seconds, 2) for seconds in later],
            "later predictions, median": round(statistics.median(later), 2),
            "help, median": round(statistics.median(helps), 2),
        },
    }
    text = json.dumps(kept, indent=2, ensure_ascii=False)
    RESULTS.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
