"""The kernels with which a network goes up: bilinear ones, and beside them what was learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from perpixel.delivery.explain import sheet
from perpixel.errors import ConfigError
from perpixel.inference.predictor import Model
from perpixel.inference.runtimes.torch_runtime import evaluating
from perpixel.score_map import ScoreMap

PANEL = 2.6  # inches
NUMBERED = 6  # kernels up to this many taps a side have their values written into them
COLOURS, DIFFERENCES = "viridis", "RdBu"
# Network inputs at which layers are looked at: a multiple of every grid, and not square.
LOOK = (64, 96)
Kernel = Float32[np.ndarray, "rows columns"]


@dataclass(frozen=True, eq=False)
class Upsampling:
    """One step up.

    Args:
        name: the layer's, or what the step is.
        stride: how many times as many cells there are afterwards, (rows, columns).
        bilinear: the kernel that a bilinear step of this stride has, with the largest tap near 1.
        learned: the weight of a transposed convolution, (from, to, rows, columns); None where the
            step is bilinear interpolation.
    """

    name: str
    stride: tuple[float, float]
    bilinear: Kernel
    learned: Float32[np.ndarray, "inputs outputs height width"] | None


def upsampling_kernels(model: Model) -> Figure:
    """A row for each step up that the network takes.

    A transposed convolution (Long, Shelhamer and Darrell 2015, section 3.3) shows its kernel beside
    the bilinear one of its stride: of a layer from classes to classes the mean over the classes
    (each class's kernel onto itself), the class that differs most from bilinear, and the
    difference; of a layer on features, whose channels have no names, the root mean square over all
    pairs of channels and the strongest pair. Bilinear interpolation shows the kernel with which a
    transposed convolution does the same.

    Args:
        model: any; nothing is predicted.

    Raises:
        ConfigError: the network never goes up: it scores every pixel at once.
    """
    steps = upsamplings(model)
    columns = 4 if any(step.learned is not None for step in steps) else 1
    figure = sheet.blank(
        max(4.5, PANEL * columns + 0.8),
        (PANEL + 0.75) * len(steps) + 0.6,
        "how the network goes up: kernels of its upsampling",
    )
    grid = figure.subplots(len(steps), columns, squeeze=False)
    for row, step in zip(grid, steps, strict=True):
        for axes in row:
            axes.set_axis_off()
        by = "×".join(f"{times:.4g}" for times in dict.fromkeys(step.stride))
        if step.learned is None:
            _draw(row[0], step.bilinear, f"{step.name}:\nbilinear, by {by}", step.bilinear)
            continue
        _draw(row[0], step.bilinear, f"{step.name}, by {by}\nbilinear", step.bilinear)
        _draw_learned(list(row[1:]), step, model.labels.names)
    return figure


def upsamplings(model: Model) -> list[Upsampling]:
    """Every step up, in the order in which the network takes them; the lookup in its scores last.

    Raises:
        ConfigError: there is none.
    """
    network = model.network
    recorder = _Recorder()
    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: recorder.entered.append(name))
        for name, module in network.named_modules()
        if isinstance(module, nn.ConvTranspose2d | nn.Upsample)
    ]
    example = torch.zeros(1, model.preprocessing.bands, *LOOK, device=model.device)
    try:
        with evaluating(network), torch.no_grad(), recorder:
            score_map = network(example)
    finally:
        for hook in hooks:
            hook.remove()
    steps = recorder.steps
    if max(score_map.stride) > 1:
        stride = score_map.stride
        steps.append(Upsampling("the last step", stride, bilinear_kernel(stride), None))
    if not steps:
        raise ConfigError(
            "network",
            found=f"a {type(network).__name__}, which has no upsampling by kernels",
            expected="transposed convolutions or bilinear interpolation",
            mend="Use a model of another network, such as fcn8s",
        )
    return steps


def bilinear_kernel(stride: tuple[float, float]) -> Kernel:
    """The kernel of the transposed convolution that does what bilinear interpolation does.

    It is what the lookup makes of a single cell of 1 among cells of 0. A stride that is no whole
    number has no single kernel: then this is the one of the middle cell.
    """
    single = torch.zeros(1, 1, 5, 5)
    single[0, 0, 2, 2] = 1
    size = (round(5 * stride[0]), round(5 * stride[1]))
    spread = ScoreMap.of(single, size, stride).logits()[0, 0]
    rows, columns = spread.any(dim=1).nonzero()[:, 0], spread.any(dim=0).nonzero()[:, 0]
    part = spread[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]
    return np.asarray(part.numpy(), np.float32)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every transposed convolution and every bilinear interpolation that runs."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entered: list[str] = []
        self.steps: list[Upsampling] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name == "upsample_bilinear2d":
            before, after = args[0].shape[2:], result.shape[2:]
            times = (after[0] / before[0], after[1] / before[1])
            # From one cell, as behind a global pooling, it is a repetition and has no kernel.
            if tuple(before) != (1, 1) and max(times) > 1:
                own = self.entered.pop() if self.entered else "interpolation"
                self.steps.append(Upsampling(own, times, bilinear_kernel(times), None))
        elif name == "convolution" and args[6] and args[1].ndim == 4:
            own = self.entered.pop() if self.entered else "transposed convolution"
            stride = (float(args[3][0]), float(args[3][-1]))
            weight = np.asarray(args[1].detach().float().cpu().numpy(), np.float32)
            self.steps.append(Upsampling(own, stride, bilinear_kernel(stride), weight))
        return result


def onto_themselves(
    weight: Float32[np.ndarray, "classes classes height width"],
) -> Float32[np.ndarray, "classes height width"]:
    """Each class's kernel onto itself."""
    classes = np.arange(weight.shape[0])
    return np.asarray(weight[classes, classes])


def _draw_learned(panels: Sequence[Axes], step: Upsampling, names: Sequence[str]) -> None:
    weight = step.learned
    assert weight is not None
    inputs, outputs = weight.shape[:2]
    if inputs == outputs == len(names):
        own = onto_themselves(weight)
        mean = own.mean(axis=0)
        _draw(panels[0], mean, f"the network's:\nmean of {len(own)} classes", step.bilinear)
        if mean.shape != step.bilinear.shape:
            return
        apart = np.abs(own - step.bilinear).max(axis=(1, 2))
        most = int(apart.argmax())
        if not apart[most] > 1e-6:
            panels[1].text(0.5, 0.5, "every class:\nexactly bilinear", ha="center", va="center")
            return
        title = f"farthest from bilinear:\n{sheet.short(names[most])}"
        _draw(panels[1], own[most], title, step.bilinear)
        others = weight.copy()
        others[range(inputs), range(inputs)] = 0
        mixing = f"largest weight between two classes: {np.abs(others).max():.2g}"
        apart_from = own[most] - step.bilinear
        _draw_difference(panels[2], apart_from, "its difference from bilinear", mixing)
        return
    strength = np.sqrt((weight**2).mean(axis=(0, 1)))
    _draw(
        panels[0], strength, f"the network's: root mean\nsquare of {inputs} × {outputs} pairs", None
    )
    energy = (weight**2).sum(axis=(2, 3))
    one, other = np.unravel_index(int(energy.argmax()), energy.shape)
    _draw_difference(panels[1], weight[one, other], f"strongest pair:\nchannel {one} to {other}")


def _draw(axes: Axes, kernel: Kernel, title: str, like: Kernel | None) -> None:
    """A kernel whose colours mean what they mean in the other one."""
    high = float((kernel if like is None else like).max())
    axes.imshow(kernel, cmap=COLOURS, vmin=min(0.0, float(kernel.min())), vmax=high)
    _number(axes, kernel, kernel < 0.5 * high)
    sheet.heading(axes, title, _range(kernel))


def _draw_difference(axes: Axes, kernel: Kernel, title: str, note: str = "") -> None:
    most = max(float(np.abs(kernel).max()), 1e-30)
    axes.imshow(kernel, cmap=DIFFERENCES, vmin=-most, vmax=most)
    _number(axes, kernel, np.abs(kernel) > 0.65 * most)
    sheet.heading(axes, title, "\n".join(filter(None, (_range(kernel), note))))


def _range(kernel: Kernel) -> str:
    rows, columns = kernel.shape
    return f"{rows} × {columns}, from {kernel.min():.3g} to {kernel.max():.3g}"


def _number(axes: Axes, kernel: Kernel, dark: Bool[np.ndarray, "rows columns"]) -> None:
    """Write the taps' values into them, white where the colour is dark."""
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    if max(kernel.shape) > NUMBERED:
        return
    for (row, column), value in np.ndenumerate(kernel):
        colour = "white" if dark[row, column] else "black"
        text = f"{round(float(value), 2) + 0.0:.2f}"
        axes.text(column, row, text, color=colour, fontsize=8, ha="center", va="center")
