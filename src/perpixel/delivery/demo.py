"""The demo: drawn scenes, the paper's four networks trained on them in stages, one picture.

The comparison is that of Long et al. 2015, section 4.2 and table 2: each finer network starts
from the coarser one's weights, and adds class scores from one more level.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import cv2

from perpixel.data.layouts import open_dataset
from perpixel.delivery.comparison import compare
from perpixel.delivery.scenes import CLASSES, draw
from perpixel.errors import ConfigError, OutputError
from perpixel.inference.predictor import load
from perpixel.metrics import Scores
from perpixel.training import Listener, TrainConfig, train
from perpixel.training.files import MODEL
from perpixel.whole_file import write_whole

STAGES = ("fcn32s", "fcn16s", "fcn8s", "fcn4s")
SCENES = {"train": 360, "val": 48}
# Passes over the training scenes: the first stage has the most to learn.
EPOCHS = {"fcn32s": 4, "fcn16s": 3, "fcn8s": 3, "fcn4s": 3}
PICTURED = 5
MARK = "demo.json"
Watch = Callable[[str], AbstractContextManager[Listener]]


@dataclass(frozen=True)
class DemoResult:
    """The validation scores of each network, coarsest first, and the picture."""

    scores: Mapping[str, Scores]
    picture: Path


def run_demo(
    out: Path,
    seed: int,
    watch: Watch,
    scenes: Mapping[str, int] = SCENES,
    epochs: Mapping[str, int] = EPOCHS,
) -> DemoResult:
    """Draw, train, compare; everything goes into `out`, and replaces an earlier demo there.

    Args:
        out: the folder.
        seed: of the scenes and of the training.
        watch: makes, from a stage's name, the context in which its training is shown.
        scenes: how many for each split.
        epochs: how long each stage is trained.

    Raises:
        ConfigError: the folder holds something else than an earlier demo.
        OutputError: it cannot be written.
    """
    _clear(out)
    write_whole(out / MARK, (json.dumps({"seed": seed}) + "\n").encode())
    write_scenes(out / "data", seed, scenes)
    scores: dict[str, Scores] = {}
    coarser: Path | None = None
    for stage in STAGES:
        config = TrainConfig.of(
            data=out / "data",
            out=out / stage,
            network=stage,
            head="scores",
            init_from=coarser,
            epochs=epochs[stage],
            batch_size=8,
            seed=seed,
            workers=0,
            class_weights="none",
            augmentation={"crop": (128, 192), "scale": (0.8, 1.25)},
        )
        with watch(stage) as listener:
            result = train(config, listener)
        scores[stage] = result.scores
        coarser = result.model
    picture = out / "demo.png"
    models = {
        title(stage): load(out / stage / MODEL, runtime="torch", precision="fp32")
        for stage in STAGES
    }
    notes = {title(stage): f"mean IoU {scores[stage].mean_iou:.3f}" for stage in STAGES}
    content = io.BytesIO()
    compare(models, notes, open_dataset(out / "data").split("val"), PICTURED).save(content, "PNG")
    write_whole(picture, content.getvalue())
    return DemoResult(scores, picture)


def title(stage: str) -> str:
    """A network's name as the paper writes it."""
    return f"FCN-{stage.removeprefix('fcn')}"


def write_scenes(folder: Path, seed: int, scenes: Mapping[str, int]) -> None:
    """Draw scenes as an ordinary dataset folder: split folders and `classes.yaml`."""
    index = 0
    for split, count in scenes.items():
        images, masks = folder / split / "images", folder / split / "masks"
        try:
            images.mkdir(parents=True)
            masks.mkdir()
        except OSError as error:
            raise _unwritable(folder, error) from None
        for _ in range(count):
            image, mask = draw(seed, index)
            name = f"{index:04d}.png"
            write_whole(images / name, cv2.imencode(".png", image[..., ::-1])[1].tobytes())
            write_whole(masks / name, cv2.imencode(".png", mask)[1].tobytes())
            index += 1
    write_whole(folder / "classes.yaml", CLASSES.as_yaml().encode())


def _clear(out: Path) -> None:
    """Make the folder, without the demo that it may hold; anything else in it is not ours."""
    try:
        if out.is_dir() and any(out.iterdir()):
            if not (out / MARK).is_file():
                raise ConfigError(
                    out,
                    found="a folder with files that no demo wrote",
                    mend="Give an --out that is new or empty",
                )
            for name in ("data", *STAGES):
                shutil.rmtree(out / name, ignore_errors=True)
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from None


def _unwritable(folder: Path, error: OSError) -> OutputError:
    mend = "Give an --out that can be written"
    return OutputError(folder, found=f"cannot be made ({error.strerror or error})", mend=mend)
