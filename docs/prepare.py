"""Makes what the pages show: draws scenes, trains a network on them once, and lets the commands
draw and print.

    python docs/prepare.py

Everything goes into build/docs, which is made anew when the program or a script in this folder has
changed, and else kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
from pathlib import Path

os.environ["COLUMNS"] = "100"  # as wide as a page; read when the command's console is made

import numpy as np
import pictures
from drawing import DPI, INK
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from perpixel.cli.app import app
from perpixel.delivery.demo import write_scenes
from perpixel.delivery.scenes import CLASSES, draw

ROOT = Path(__file__).resolve().parents[1]
MADE = ROOT / "build" / "docs"
PICTURES, PRINTED, WORK, STAMP = (MADE / name for name in ("pictures", "printed", "work", "stamp"))
SCENES = {"train": 160, "val": 24}
# About a minute on two cores.
TRAINING = (
    *("--head", "scores", "--epochs", "8", "--class-weights", "none", "--workers", "0"),
    *("--crop", "128x192", "--scale", "0.8", "1.25", "--precision", "fp32", "--ema", "0.99"),
)
SHOWN = 160  # the first of the scenes that nothing was learned from
LARGE = 7  # a scene with a house in the middle
MODEL = "runs/a/model.safetensors"


def main() -> None:
    """Make everything, unless it is there already."""
    stamp = fingerprint()
    if STAMP.is_file() and STAMP.read_text() == stamp:
        print("the pictures are up to date")
        return
    shutil.rmtree(MADE, ignore_errors=True)
    for folder in (PICTURES, PRINTED, WORK):
        folder.mkdir(parents=True)
    for name in (*pictures.ABOUT_AN_IMAGE, *pictures.BY_THEMSELVES):
        pictures.picture(name).savefig(PICTURES / f"{name}.png", dpi=DPI)
    os.chdir(WORK)
    write_scenes(Path("photographs"), 0, SCENES)
    scenes_and_masks().savefig(PICTURES / "scenes.png", dpi=DPI)
    run_commands()
    STAMP.write_text(stamp)


def run_commands() -> None:
    """What the pages tell the reader to run, in the folder of the scenes."""
    street = f"photographs/val/images/{SHOWN:04d}.png"
    command("train", "photographs", "--out", "runs/a", *TRAINING)
    shutil.copy("runs/a/curves.png", PICTURES)
    command("predict", MODEL, street, "--out", "masks", "--overlay")
    shutil.copy(f"masks/{SHOWN:04d}_overlay.jpg", PICTURES / "overlay.jpg")
    command("explain", MODEL, street, "--pixel", "100,75", "--out", str(PICTURES / "explain"))
    Image.fromarray(draw(0, LARGE, 500, 500)[0]).save("street.png")
    command("heatmap", "street.png", "--class", "church", "--out", str(PICTURES / "heatmap.png"))
    command("report", "runs/a", "--html", str(PICTURES / "report.html"))
    keep("evaluate", "evaluate", MODEL, "photographs")
    keep("inspect-fcn32s-vgg16", "inspect", "fcn32s-vgg16", "--size", "224x224")


def command(*arguments: str) -> None:
    """Run `perpixel` in this process; what goes wrong ends the build."""
    print("perpixel", *arguments, flush=True)
    try:
        app([*arguments], standalone_mode=False)
    except SystemExit as stopped:
        if stopped.code:
            raise


def keep(name: str, *arguments: str) -> None:
    """Run it, and keep what it prints for the pages."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        app([*arguments], standalone_mode=False)
    lines = [line.rstrip() for line in printed.getvalue().splitlines()]
    (PRINTED / f"{name}.txt").write_text("\n".join(lines).strip("\n") + "\n", encoding="utf-8")


def scenes_and_masks() -> Figure:
    """Six scenes above their masks, and the classes' names beside their colours."""
    figure = Figure(figsize=(13, 4.1), layout="constrained")
    panels = figure.subplots(2, 6)
    for index, (above, below) in enumerate(panels.T):
        image, mask = draw(0, index)
        above.imshow(image)
        below.imshow(CLASSES.colourise(mask))
        for panel in (above, below):
            panel.set_xticks([])
            panel.set_yticks([])
    handles = [
        Rectangle((0, 0), 1, 1, facecolor=np.divide(colour, 255), edgecolor=INK)
        for colour in CLASSES.colours
    ]
    figure.legend(handles, CLASSES.names, ncols=len(handles), loc="outside lower center")
    return figure


def fingerprint() -> str:
    """Of all code that the pictures depend on."""
    digest = hashlib.sha256()
    package = ROOT / "src" / "perpixel"
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.html"), *ROOT.glob("docs/*.py")]):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
