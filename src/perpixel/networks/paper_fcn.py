"""The paper's own networks, to the last pixel of padding: FCN-32s, 16s and 8s on VGG16.

Long, Shelhamer and Darrell, CVPR 2015 and PAMI 2016. Layers have Caffe's names, so the published
weights fit name by name.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import nn

from perpixel.networks.bilinear import bilinear_upsampling
from perpixel.networks.canvas import Canvas
from perpixel.networks.network import Network
from perpixel.preprocessing import Preprocessing
from perpixel.score_map import Placement

Name = Literal["fcn32s-vgg16", "fcn16s-vgg16", "fcn8s-vgg16", "fcn8s-vgg16-at-once"]
Upsampling = Literal["fixed", "learned-inner", "learned"]

# How the paper's networks see an image; Caffe's VGG16 was trained on it.
PAPER_INPUT = Preprocessing(
    order="bgr", range=255.0, mean=(104.00699, 116.66877, 122.67892), std=(1.0, 1.0, 1.0)
)
DEPTHS = (2, 2, 3, 3, 3)  # convolutions of each of VGG16's stages
WIDTHS = (1, 2, 4, 8, 8)  # and their channels, in multiples of the first stage's
HIDDEN = 64  # and those of fc6 and fc7
PAD = 100
# Caffe's crops of the skips, and of the result.
POOL4_CROP, POOL3_CROP = 5, 9
POOL4_SCALE, POOL3_SCALE = 0.01, 0.0001


class _Last(NamedTuple):
    """The last upsampling: its name in the published files, its stride, the crop after it."""

    name: str
    stride: int
    crop: int


LAST = {
    "fcn32s-vgg16": _Last("upscore", 32, 19),
    "fcn16s-vgg16": _Last("upscore16", 16, 27),
    "fcn8s-vgg16": _Last("upscore8", 8, 31),
    "fcn8s-vgg16-at-once": _Last("upscore8", 8, 31),
}


class PaperFCN(Network):
    """VGG16 with its classifier as convolutions; scores of pool4 and pool3 are added on the way up.

    With fc6="7x7" the image is padded by 100 instead of to the grid, so that fc6's 7×7 windows
    cover an image of any size; the crops after the upsamplings take that back. Caffe's pooling
    rounds sizes up. With fc6="1x1" nothing is padded and the crops are 0.

    The last upsampling is the ScoreMap's lookup: after a crop of c, at stride s, offset c/s − ½.
    Unlike it, a transposed convolution fades to zero beyond its input's border; where the crop
    leaves some of that border, a ring of zero cells around the scores says the same.

    Args:
        name: which of the networks.
        classes: how many classes are scored.
        bands: how many bands the images have.
        fc6: "7x7" (the paper's) or "1x1".
        upsampling: which transposed convolutions training changes: none ("fixed"), those between
            levels ("learned-inner"), or the last too ("learned": a real layer, and stride 1).
        width: channels of the first stage.
    """

    def __init__(
        self,
        name: Name,
        classes: int,
        bands: int = 3,
        fc6: Literal["7x7", "1x1"] = "7x7",
        upsampling: Upsampling = "fixed",
        width: int = 64,
    ) -> None:
        super().__init__()
        self.grid, self.whole_image_layer = 32, None
        self.padded = fc6 == "7x7"
        self.last = LAST[name]
        self.full_size = upsampling == "learned"
        self.stride = 1 if self.full_size else self.last.stride
        channels = bands
        self.stages: list[list[str]] = []
        for stage, (depth, multiple) in enumerate(zip(DEPTHS, WIDTHS, strict=True), start=1):
            names = [f"conv{stage}_{number}" for number in range(1, depth + 1)]
            for layer in names:
                padding = 0 if self.padded and layer == "conv1_1" else 1  # PAD is the canvas's
                self.add_module(layer, nn.Conv2d(channels, multiple * width, 3, padding=padding))
                channels = multiple * width
            self.stages.append(names)
        hidden = HIDDEN * width
        self.fc6 = nn.Conv2d(channels, hidden, 7 if self.padded else 1)
        self.fc7 = nn.Conv2d(hidden, hidden, 1)
        self.dropout = nn.Dropout(0.5)
        self.score_fr = nn.Conv2d(hidden, classes, 1)
        self._start_at_random()
        scale = (POOL4_SCALE, POOL3_SCALE) if name == "fcn8s-vgg16-at-once" else (1.0, 1.0)
        # (feature, its scale, its crop, the scoring layer, the upsampling before the sum)
        skips = [
            ("pool4", scale[0], POOL4_CROP, "score_pool4", "upscore2"),
            ("pool3", scale[1], POOL3_CROP, "score_pool3", "upscore_pool4"),
        ]
        self.skips = skips[: {32: 0, 16: 1, 8: 2}[self.last.stride]]
        for (_, _, _, score, up), multiple in zip(self.skips, WIDTHS[3:1:-1], strict=False):
            doubling = bilinear_upsampling(
                classes, 2, padding=0 if self.padded else 1, learned=upsampling != "fixed"
            )
            self.add_module(up, doubling)
            self.add_module(score, _zero(nn.Conv2d(multiple * width, classes, 1)))
        if self.full_size:
            padding = 0 if self.padded else self.last.stride // 2
            full = bilinear_upsampling(classes, self.last.stride, padding=padding, learned=True)
            self.add_module(self.last.name, full)

    @property
    def backbone_name(self) -> str:
        """VGG16."""
        return "vgg16"

    def encoder_names(self, available: Collection[str]) -> dict[str, str]:
        """VGG16's convolutions are `features.N` in timm and torchvision; a whole classifier's
        fully connected layers are fc6 and fc7 (section 4.1), where the file has them."""
        layers, position = {}, 0
        for names in self.stages:
            for name in names:
                layers[name] = f"features.{position}"
                position += 2  # after each convolution a ReLU
            position += 1  # the pooling
        if self.padded and "classifier.0.weight" in available:
            layers |= {"fc6": "classifier.0", "fc7": "classifier.3"}
        elif self.padded and "pre_logits.fc1.weight" in available:
            layers |= {"fc6": "pre_logits.fc1", "fc7": "pre_logits.fc2"}
        return {
            f"{own}.{kind}": f"{theirs}.{kind}"
            for own, theirs in layers.items()
            for kind in ("weight", "bias")
        }

    @property
    def canvas(self) -> Canvas:
        """With 100 zeros on each side (section 4.1), or the image alone."""
        return Canvas(PAD, PAD) if self.padded else Canvas()

    @property
    def placement(self) -> Placement:
        """Behind the paper's crop; the ring of zero cells counts."""
        if self.full_size:
            return Placement(1.0)
        return Placement(float(self.last.stride), self._offset + self._ring)

    @property
    def _offset(self) -> float:
        return self.last.crop / self.last.stride - 0.5 if self.padded else 0.0

    @property
    def _ring(self) -> int:
        # The first pixel looks up cell 0.5 / stride − 0.5 + offset: below 0 the border fades.
        return 1 if self._offset < 0.5 else 0

    def forward_scores(
        self, canvas: Float[torch.Tensor, "batch bands rows columns"]
    ) -> Float[torch.Tensor, "batch classes h w"]:
        """Class scores of a canvas, (B, classes, H / stride, W / stride), about."""
        features = self._pools(canvas)
        hidden = self.dropout(F.relu(self.fc6(features["pool5"])))
        hidden = self.dropout(F.relu(self.fc7(hidden)))
        scores: torch.Tensor = self.score_fr(hidden)  # (B, classes, H / 32, W / 32), about
        for pool, scale, crop, score, up in self.skips:
            scores = self.get_submodule(up)(scores)
            skip = self.get_submodule(score)(features[pool] * scale)
            scores = _sum(scores, skip, crop if self.padded else 0)
        if self.full_size:
            crop = self.last.crop if self.padded else 0
            # The image begins here; the cells that lie beyond its end are never looked up.
            scores = self.get_submodule(self.last.name)(scores)
            return scores[:, :, crop:, crop:].contiguous()
        return F.pad(scores, (1, 1, 1, 1)) if self._ring else scores

    def _pools(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        pools = {}
        for stage, names in enumerate(self.stages, start=1):
            for name in names:
                features = F.relu(self.get_submodule(name)(features))
            features = _halved(features)
            pools[f"pool{stage}"] = features
        return pools

    def _start_at_random(self) -> None:
        """He's initialisation, which carries a signal through sixteen layers without batch norm;
        class scores start at zero (section 4.1)."""
        for module in self.children():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        _zero(self.score_fr)


def _halved(features: torch.Tensor) -> torch.Tensor:
    """Max pooling by 2 that rounds odd sizes up, of features that are not negative."""
    if torch.compiler.is_exporting():
        # ONNX Runtime and OpenVINO round a single row or column otherwise. A row and a column of
        # zeros say the same; at even sizes no window reaches them.
        return F.max_pool2d(F.pad(features, (0, 1, 0, 1)), 2)
    return F.max_pool2d(features, 2, 2, ceil_mode=True)


def _sum(scores: torch.Tensor, skip: torch.Tensor, crop: int) -> torch.Tensor:
    """The sum where the two overlap, the skip read from row and column `crop` on.

    Padded by 100, the skip reaches beyond the scores; unpadded, the scores may have one cell more,
    because pooling rounds up.
    """
    rows, columns = (scores if crop else skip).shape[2:]
    return scores[:, :, :rows, :columns] + skip[:, :, crop : crop + rows, crop : crop + columns]


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
