"""docs/networks.md, from the results of benchmarks/networks.py."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from measure import medians
from trainings import MINUTES, STAGED, TRAININGS, planned

MISSING = "not measured yet"
TRAINING_IMAGES = 367

HEAD = """# The networks, side by side

This page is written by `python benchmarks/networks.py`, from the raw results that it keeps in
`benchmarks/results/networks.json`. It can be stopped at any moment and called again.

## What each costs

For {classes} classes and an image of {height}×{width} with three bands; each network is as it is by
default, or as the brackets say. `perpixel inspect NETWORK` shows the same layer by layer, at any
size.

- **stride**: pixels from one score to the next; between them the last step interpolates.
- **sees**: the side of the square of pixels that a score depends on, by the network's graph. Where
  a layer looks at the whole image, that layer is named, and the figure is what all others see.
- **grid**: an image is padded to a multiple of it, and tiles begin at multiples of it.
- **multiply–adds**: of convolutions and matrix products, for one image, padding included.
- **CPU**: milliseconds from the image to the coarse scores in fp32, random weights, batch 1: the
  median of {rounds}; in every round each network runs once, warm.{machine}

"""

COST = """
What to read from it:

- The paper's networks spend most on the padding of 100 pixels around the image and on fc6, a 7×7
  convolution from 512 to 4096 channels. `--fc6 1x1` leaves both out: it has a quarter of the
  parameters, and a cell sees 212 pixels instead of 404.
- 32s, 16s and 8s differ by hardly anything but their stride: finer scores come almost for nothing,
  since the skips score features that are there already. The same holds for the light networks.
- Multiply–adds are not time. Depthwise convolutions do few of them for each value that they read,
  and wait for memory; large dense ones keep the processor busy.
- A network with a layer that looks at the whole image (pooling in DeepLab, squeeze-and-excite in
  MobileNetV3) cannot score tiles exactly as the whole.
- `fcn-decoder` sees further down and to the right than up and to the left, because each of its five
  transposed convolutions has one row and one column more at that end. `perpixel inspect` shows it:
  the middle of what its first score sees lies 15½ pixels from the score's own pixel. Its scores
  still lie where their pixels are: training keeps them there.

"""

LEARNED = """## What five light networks learn in 20 minutes

CamVid (11 classes, 367 training and 101 validation photographs of 480×360, as published with
SegNet). All five stand on EfficientNet-Lite0 pretrained on ImageNet and have the same {minutes}
minutes on one core with one thread, seed 0, and everything else as it is by default. The same
minutes are not the same number of steps: a slower network sees fewer images. Scores are those of
the best validation, without test-time augmentation. One run each: a difference of a point may be
chance. Their loss still left the weights of classes in the scores, which costs [about a
point](factors.md).{machine}

"""

STAGES = """## 32s, 16s, 8s on VGG16

The paper's staged training, each network starting from the coarser one's weights, with the feature
head of the light networks on VGG16's convolutions pretrained on ImageNet (BGR, 0–255, mean
subtracted). {minutes} minutes each on one core, so the whole chain has an hour. VGG16 takes some
forty times the multiply–adds of EfficientNet-Lite0, so these minutes are few steps.

"""


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    height, width = results["size"]
    rounds = results["times"].get("rounds", [])
    line = results["times"].get("machine")
    head = HEAD.format(
        classes=results["classes"],
        height=height,
        width=width,
        rounds=f"{len(rounds)} rounds" if rounds else f"rounds that are {MISSING}",
        machine=f" ({line}.)" if line else "",
    )
    runs, minutes = results["runs"], MINUTES
    light = [name for name in TRAININGS if name not in STAGED]
    parts = [
        head,
        _costs(results["networks"], medians(rounds) if rounds else {}),
        COST,
        LEARNED.format(minutes=minutes, machine=_machine(runs)),
        _learned(light, runs),
        _commands(light, runs),
        _classes(light, runs),
        _seen_in_light(light, runs),
        STAGES.format(minutes=minutes),
        _learned(STAGED, runs),
        _commands(STAGED, runs),
        _classes(STAGED, runs),
        _seen_in_stages(runs),
    ]
    return "".join(parts).rstrip() + "\n"


def _table(header: list[str], rows: list[list[str]], left: int = 1) -> str:
    """A table whose first columns are texts and whose others are numbers."""
    rule = ["---"] * left + ["--:"] * (len(header) - left)
    return "".join("| " + " | ".join(row) + " |\n" for row in (header, rule, *rows))


def _costs(networks: dict[str, Any], seconds: dict[str, float]) -> str:
    header = ["network", "parameters, M", "stride", "sees", "grid", "whole image"]
    header += ["multiply–adds, G", "CPU, ms"]
    rows = []
    for name, found in networks.items():
        time = f"{seconds[name] * 1e3:,.0f}" if name in seconds else MISSING
        layer = found["whole_image_layer"]
        rows.append(
            [
                _label(name, found["options"]),
                f"{found['parameters'] / 1e6:.2f}",
                _side(found["stride"]),
                _side(found["receptive_field"]),
                str(found["grid"]),
                f"`{layer}`" if layer else "–",
                f"{found['multiply_adds'] / 1e9:.1f}",
                time,
            ]
        )
    return _table(header, rows)


def _label(name: str, options: dict[str, Any]) -> str:
    others = ", ".join(
        f"{option.replace('_', ' ')} {value}" if value is not True else option
        for option, value in options.items()
        if option != "name"
    )
    return f"`{options['name']}`" + (f" ({others})" if others else "")


def _side(both: list[Any]) -> str:
    """Rows and columns, once where they are the same."""
    numbers = [f"{float(Fraction(each)):g}" for each in both]
    return numbers[0] if numbers[0] == numbers[1] else "×".join(numbers)


def _machine(runs: dict[str, Any]) -> str:
    """Where and with what the finished trainings ran."""
    said = dict.fromkeys(
        ", ".join([run["processor"], *(f"{name} {of}" for name, of in run["versions"].items())])
        for run in runs.values()
    )
    return f" ({'; '.join(said)}.)" if said else ""


def _learned(names: list[str], runs: dict[str, Any]) -> str:
    header = ["network", "steps", "passes over the images", "precision", "pixel accuracy"]
    header.append("mean IoU")
    rows = []
    for name in names:
        if name not in runs:
            rows.append([name, *[MISSING] * 5])
            continue
        run = runs[name]
        scores = run["validation"]
        rows.append(
            [
                name,
                f"{run['steps']:,}",
                f"{run['images'] / TRAINING_IMAGES:.1f}",
                run["precision"],
                f"{scores['pixel_accuracy']:.3f}",
                f"**{scores['mean_iou']:.3f}**",
            ]
        )
    return _table(header, rows) + "\n"


def _commands(names: list[str], runs: dict[str, Any]) -> str:
    lines = [runs[name]["command"] if name in runs else planned(name) for name in names]
    return "```sh\n" + "\n".join(lines) + "\n```\n\n"


def _classes(names: list[str], runs: dict[str, Any]) -> str:
    """IoU of each class for the runs that are finished."""
    done = [name for name in names if name in runs]
    if not done:
        return ""
    of = {name: runs[name]["validation"]["classes"] for name in done}
    rows = [[label, *(_share(of[name][label]["iou"]) for name in done)] for label in of[done[0]]]
    return "IoU of each class:\n\n" + _table(["class", *done], rows) + "\n"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _seen_in_light(names: list[str], runs: dict[str, Any]) -> str:
    if not all(name in runs for name in names):
        return ""
    score = {name: runs[name]["validation"]["mean_iou"] for name in names}
    best, worst = max(score, key=score.__getitem__), min(score, key=score.__getitem__)
    most = max(names, key=lambda name: runs[name]["steps"])
    fewest = min(names, key=lambda name: runs[name]["steps"])
    return (
        f"{best} ends highest ({score[best]:.3f}) and {worst} lowest ({score[worst]:.3f}). In the "
        f"same minutes {most} does {runs[most]['steps']:,} steps and {fewest} "
        f"{runs[fewest]['steps']:,}: with so little time, what a network costs decides along with "
        f"what it can express. {_thin(names, runs)}\n\n"
    )


def _thin(names: list[str], runs: dict[str, Any]) -> str:
    """What stride does to the thinnest class."""
    pole = {name: runs[name]["validation"]["classes"]["pole"]["iou"] or 0.0 for name in names}
    order = ", ".join(f"{name} {pole[name]:.3f}" for name in sorted(pole, key=lambda n: -pole[n]))
    return (
        "The stride shows in what is thin. Poles, most of them one or two pixels wide at this "
        f"size: {order}."
    )


def _seen_in_stages(runs: dict[str, Any]) -> str:
    if not all(name in runs for name in STAGED):
        return ""
    score = [runs[name]["validation"]["mean_iou"] for name in STAGED]
    chain = " → ".join(f"{value:.3f}" for value in score)
    rises = score == sorted(score)
    verdict = (
        "Each finer stride adds to it, as in the paper (table 2), though each network also has "
        "the training of those before it."
        if rises
        else "It does not rise at every stage here, other than in the paper (table 2)."
    )
    return f"Mean IoU {chain}. {verdict} {_thin(STAGED, runs)}\n"
