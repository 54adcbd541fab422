"""Receptive fields, centres and halos, against what gradients say and against the paper."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from perpixel.networks.backbone import Backbone
from perpixel.networks.convolution import FixedPadConv2d
from perpixel.networks.fcn import FCN
from perpixel.networks.fcn_decoder import FCNDecoder
from perpixel.networks.paper_fcn import PaperFCN
from perpixel.networks.receptive_field import receptive_field, tiling
from perpixel.networks.segnet import SegNet
from perpixel.networks.torchvision_networks import TorchvisionNetwork
from perpixel.networks.unet import PaddedUNet, UNet
from perpixel.networks.walk import walk


class Positive(nn.Module):
    """A convolution's geometry, without its channels: the mean of what its window covers."""

    def __init__(self, layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self.layer = layer
        rows, columns = layer.kernel_size
        self.weight = torch.full((1, 1, rows, columns), 1 / (rows * columns), dtype=torch.float64)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        layer, mean = self.layer, features.mean(1, keepdim=True)
        if isinstance(layer, nn.ConvTranspose2d):
            return F.conv_transpose2d(
                mean, self.weight, None, layer.stride, layer.padding, layer.output_padding
            )
        return F.conv2d(mean, self.weight, None, layer.stride, layer.padding, layer.dilation)


def positive(network: nn.Module) -> nn.Module:
    """A copy with positive weights, average pooling and no activations: gradients do not vanish."""
    network = copy.deepcopy(network).eval()
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d | nn.ConvTranspose2d):
                setattr(parent, name, Positive(child))
            elif isinstance(child, nn.MaxPool2d):
                setattr(parent, name, average(child))
            elif isinstance(child, nn.BatchNorm2d) or not (list(child.children()) or linear(child)):
                setattr(parent, name, nn.Identity())
    return network.double()


def linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Upsample | nn.AvgPool2d | nn.Identity)


class Average(nn.MaxPool2d):
    """An average pooling where a network looks for a max-pooling."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(
            features, self.kernel_size, self.stride, self.padding, ceil_mode=self.ceil_mode
        )


def average(pool: nn.MaxPool2d) -> nn.Module:
    return Average(pool.kernel_size, pool.stride, pool.padding, ceil_mode=pool.ceil_mode)


def support(
    network: nn.Module, size: int, cells: Callable[[int], tuple[int, int]]
) -> tuple[int, int, int, int]:
    """The first and last row and column of the image that a cell's score depends on."""
    image = torch.zeros(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    scores = network(image).scores
    row, column = cells(scores.shape[2])
    scores[0, 0, row, column].backward()
    assert image.grad is not None
    seen = image.grad[0, 0] != 0
    rows, columns = (seen.any(axis).nonzero().flatten() for axis in (1, 0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def small_vgg(name: str, fc6: str = "7x7") -> nn.Module:
    return PaperFCN(name, 2, fc6=fc6, width=1)  # type: ignore[arg-type]


NETWORKS = {
    "paper's 32s": (lambda: small_vgg("fcn32s-vgg16"), 640),
    "paper's 16s": (lambda: small_vgg("fcn16s-vgg16"), 640),
    "paper's 8s": (lambda: small_vgg("fcn8s-vgg16"), 640),
    "simplified 8s": (lambda: small_vgg("fcn8s-vgg16", "1x1"), 640),
    "resnet10t": (lambda: FCN(Backbone("resnet10t"), 2, head_channels=2), 640),
    "scores head": (lambda: FCN(Backbone("resnet10t", 3, 8), 2, "scores"), 640),
    "decoder": (lambda: FCNDecoder(Backbone("vgg11", 3, 2), 2), 384),
    "unet": (lambda: UNet(2, width=2), 320),
    "padded unet": (lambda: PaddedUNet(Backbone("vgg11", 3, 2), 2, width=2), 512),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_fields_are_the_support_of_the_gradient(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, size = NETWORKS[name]
    network = make()
    span = walk(network, (2048, 2560)).scores.spans
    # What is written out in a network's forward pass, and not as a module.
    monkeypatch.setattr(F, "relu", lambda features: features)
    monkeypatch.setattr(
        F,
        "max_pool2d",
        lambda x, kernel, stride=None, ceil_mode=False: F.avg_pool2d(
            x, kernel, stride, ceil_mode=ceil_mode
        ),
    )
    plain = positive(network)
    for shift in range(3):  # cells differ within a period
        middle: list[int] = []

        def cells(count: int, shift: int = shift, middle: list[int] = middle) -> tuple[int, int]:
            middle[:] = [count // 2 + shift, count // 2 - shift]
            return middle[0], middle[1]

        found = support(plain, size, cells)
        expected = (*(span["y"].sees(middle[0]) or ()), *(span["x"].sees(middle[1]) or ()))
        assert min(expected) > 0, "the image is too small for the test"
        assert max(expected) < size - 1
        assert found == expected


@pytest.mark.parametrize(("fc6", "pixels"), [("7x7", 404), ("1x1", 212)])
def test_a_cell_of_fc6_sees_what_the_paper_says(fc6: str, pixels: int) -> None:
    steps = walk(small_vgg("fcn32s-vgg16", fc6), (1024, 1280)).steps
    span = next(step for step in steps if step.layer == "fc6").seen.spans["y"]
    assert (span.size, span.stride) == (pixels, 32)


@pytest.mark.parametrize(
    ("name", "stride", "offset"),
    [
        # A ring of zero cells stands around the scores of 32s.
        ("fcn32s-vgg16", 32, 1 + Fraction(3, 32)),
        ("fcn16s-vgg16", 16, Fraction(19, 16)),
        ("fcn8s-vgg16", 8, Fraction(27, 8)),
        ("fcn8s-vgg16-at-once", 8, Fraction(27, 8)),
    ],
)
def test_centres_of_the_papers_cells_are_where_its_crops_put_them(
    name: str, stride: int, offset: Fraction
) -> None:
    network = small_vgg(name)
    field = receptive_field(network)
    assert field.stride == (stride, stride)
    assert field.offset == (offset, offset)
    score_map = walk(network, (512, 640)).score_map
    assert score_map.offset == tuple(map(float, field.offset))
    # The middle of what cell i sees is the place that the ScoreMap looks up at i.
    cell = 3
    pixel = field.centre[0] + stride * cell - Fraction(1, 2)
    assert (pixel + Fraction(1, 2)) / stride - Fraction(1, 2) + offset == cell


def test_a_half_pixel_shift_of_the_decoder_is_seen() -> None:
    # Each 3×3 transposed convolution with output padding moves its result by a quarter cell.
    field = receptive_field(FCNDecoder(Backbone("vgg11", 3, 2), 2))
    shift = sum(Fraction(stride, 4) for stride in (32, 16, 8, 4, 2))
    assert field.centre == (Fraction(1, 2) + shift, Fraction(1, 2) + shift)


def test_padding_inside_a_kernel_is_not_seen() -> None:
    # TensorFlow's "same" convolutions: a 3×3 kernel of stride 2 has become a 4×4 one.
    walked = walk(FixedPadConv2d(3, 4, 3, stride=2), (256, 320))
    assert walked.scores.spans["y"].sees(5) == (10, 12)
    assert walked.steps[-1].multiply_adds == 128 * 160 * 4 * 3 * 3 * 3


def test_an_unknown_operation_is_an_error_that_names_the_layer() -> None:
    class Rolled(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.roll(1, 2)

    with pytest.raises(ValueError, match=r"^0: what roll sees"):
        receptive_field(nn.Sequential(Rolled()))


def test_the_network_is_left_as_it_was() -> None:
    network = FCN(Backbone("resnet10t"), 2, head_channels=4).train()
    network.backbone.eval()
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    receptive_field(network)
    assert network.training
    assert not network.backbone.training
    assert all(weights[name].equal(tensor) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


TILED = {
    "resnet10t": lambda: FCN(Backbone("resnet10t", 3, 16), 2, "scores"),
    "segnet": lambda: SegNet(2, width=1),
    "unet": lambda: UNet(2, width=1),
    "paper's 8s": lambda: small_vgg("fcn8s-vgg16"),
}


@pytest.mark.parametrize("name", TILED)
@torch.no_grad()
def test_a_tile_with_its_halo_scores_as_the_whole_image(name: str) -> None:
    network = TILED[name]().eval().double()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):  # the paper's scores start at zero
            nn.init.normal_(module.weight, std=1 / module.weight[0].numel() ** 0.5)
    cut = tiling(network)
    assert cut.exact
    assert cut.grid == network.grid
    tile, start = cut.grid, 2 * cut.halo + cut.grid
    height, width = tile + 2 * cut.halo, start + tile + 2 * cut.halo + 7
    image = torch.randn(1, 3, height, width, dtype=torch.float64)
    whole = network(image).window(0, start, height, tile).logits()
    part = image[..., start - cut.halo : start + tile + cut.halo]
    tiled = network(part).window(0, cut.halo, height, tile).logits()
    torch.testing.assert_close(tiled, whole, rtol=1e-9, atol=1e-9)
    # One grid less does not do, unless rounding up gave that much.
    near = image[..., start - cut.halo // 4 : start + tile + cut.halo // 4]
    short = network(near).window(0, cut.halo // 4, height, tile).logits()
    assert not torch.allclose(short, whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_mobilenet_v3_large"])
def test_torchvisions_networks_are_followed(name: str) -> None:
    with torch.device("meta"):
        network = TorchvisionNetwork(name, 2)  # type: ignore[arg-type]
    cut = tiling(network)
    assert cut.grid == network.grid
    assert cut.whole_image_layer == network.whole_image_layer


def test_scores_at_every_pixel_need_no_more_than_their_own_field() -> None:
    # Looked up at whole places: the next cell has weight 0 and does not widen the halo.
    cut = tiling(nn.Conv2d(3, 2, 5, padding=2))
    assert (cut.grid, cut.halo) == (1, 2)


@pytest.mark.parametrize(
    ("mode", "corners"), [("nearest", False), ("bilinear", False), ("bilinear", True)]
)
def test_resampling_sees_the_support_of_its_gradient(mode: str, corners: bool) -> None:
    options = {"align_corners": corners} if mode == "bilinear" else {}

    class Resampled(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return F.interpolate(images, (18, 30), mode=mode, **options)

    span = walk(Resampled(), (12, 20)).scores.spans["y"]
    for row in range(4, 14):
        image = torch.zeros(1, 3, 12, 20, requires_grad=True)
        Resampled()(image)[0, 0, row, 15].backward()
        assert image.grad is not None
        seen = (image.grad[0, 0].abs() > 1e-5).any(1).nonzero().flatten()
        assert span.sees(row) == (int(seen[0]), int(seen[-1]))
