"""Model: a network together with all that is needed to use it, and `load`, which reads one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Integer, Shaped
from torch import nn

from perpixel.checkpoint import read_checkpoint, stored_checksum
from perpixel.data.window import measured_where
from perpixel.distribution.model_file import model_file
from perpixel.errors import ModelError
from perpixel.inference.image import ImageLike, decoded
from perpixel.inference.runtimes import Runtime, TorchRuntime
from perpixel.inference.runtimes.choice import AutoRuntime, Choice
from perpixel.inference.runtimes.device import pick_device as pick_device
from perpixel.inference.runtimes.selection import EXPORTS, check_names, for_checkpoint, for_export
from perpixel.inference.segmentation import ClassMask, Segmentation
from perpixel.inference.test_time import (
    averaged_argmax,
    averaged_winner,
    check_scales,
    mirrored,
    resized,
    seen_from,
)
from perpixel.labels import LabelSpace
from perpixel.preprocessing import Preprocessing
from perpixel.score_map import ScoreMap


class Model:
    """A network, the classes that it knows, and the preprocessing that it was trained with.

    Args:
        network: any module from (B, bands, H, W) to a ScoreMap; it is moved to the device. None
            where only a runtime can compute it.
        labels: the classes.
        preprocessing: from an image's numbers to the network's input.
        device: where it runs.
        runtime: what computes the network; without one, torch in fp32. Needed where there is no
            module.
    """

    def __init__(
        self,
        network: nn.Module | None,
        labels: LabelSpace,
        preprocessing: Preprocessing,
        device: torch.device,
        runtime: Runtime | None = None,
    ) -> None:
        self._network: nn.Module | None = None
        if network is not None:
            # Channels last: the memory order in which CPU and GPU convolutions run fastest.
            self._network = network.to(device).to(memory_format=torch.channels_last)
        self.labels = labels
        self.preprocessing = preprocessing
        self.device = device
        self.runtime: Runtime = runtime or TorchRuntime(self.network, device)

    @property
    def network(self) -> nn.Module:
        """The torch module.

        Raises:
            ModelError: the model was read from an exported file, which holds none.
        """
        if self._network is None:
            raise ModelError(
                "model",
                found=f"an export for {self.runtime.name}, whose layers cannot be looked into",
                expected="a model with its torch network (.safetensors)",
                mend="Give the model that it was exported from",
            )
        return self._network

    @property
    def choice(self) -> Choice:
        """Which runtime and precision compute the network, and why. Where `load` left it open,
        this is when it is measured.

        Raises:
            ConfigError: the runtime that was asked for cannot compute this network.
        """
        if isinstance(self.runtime, AutoRuntime):
            return self.runtime.choice
        return Choice(self.runtime.name, self.runtime.precision, "asked for")

    def as_trained(self) -> Model:
        """The same model, computed by its torch module in fp32, layer by layer: what looks into
        the layers, or reaches into their work, needs it.

        Raises:
            ModelError: the model was read from an exported file, which holds no module.
        """
        return Model(self.network, self.labels, self.preprocessing, self.device)

    def computed_by(self, runtime: Runtime) -> Model:
        """The same model, computed by another runtime.

        Raises:
            ModelError: the model was read from an exported file.
        """
        return Model(self.network, self.labels, self.preprocessing, self.device, runtime)

    def predict(
        self, image: ImageLike, *, scales: Sequence[float] = (1.0,), flip: bool = False
    ) -> Segmentation:
        """A class and a confidence for every pixel, at the image's own size; the ignore index
        where no band is a number.

        Args:
            image: a path, a Pillow image, or an array (H, W) or (H, W, bands).
            scales: the image is seen at each of them, and probabilities are averaged.
            flip: it is also seen mirrored, left to right, at each scale.

        Raises:
            DataError: the image cannot be decoded.
            ModelError: it has other bands than the model takes.
            ConfigError: a scale is not above 0.
        """
        array, name = decoded(image)
        views = self.views([array], names=[name], scales=scales, flip=flip)
        return self.segmentation(array, views)

    def views(
        self,
        images: Sequence[Shaped[np.ndarray, "bands H W"]],
        *,
        names: Sequence[str],
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
    ) -> list[ScoreMap]:
        """Run the network on decoded images of one size and type, once for each view of them.

        Args:
            images: as decoded, any number of bands that the preprocessing can fit.
            names: what errors call each image.
            scales, flip: the views, as in `predict`.

        Returns:
            one score map for each view, all looked up from the images' own pixels.

        Raises:
            ModelError: an image has other bands than the model takes.
            ConfigError: a scale is not above 0.
        """
        check_scales(scales)
        # Bands last: as images are decoded, and as networks take them fastest.
        pixels = np.stack(
            [
                self.preprocessing.fit_bands(image, name).transpose(1, 2, 0)
                for image, name in zip(images, names, strict=True)
            ]
        )
        maps = []
        with torch.inference_mode():
            batch = self._normalised(pixels)
            for scale in scales:
                scaled = resized(batch, scale)
                score_map = self.runtime.scores(scaled)
                maps.append(seen_from(score_map, (batch.shape[2], batch.shape[3])))
                if flip:
                    score_map = mirrored(self.runtime.scores(scaled.flip(3)))
                    maps.append(seen_from(score_map, (batch.shape[2], batch.shape[3])))
        return maps

    def _normalised(
        self, pixels: Shaped[np.ndarray, "batch H W bands"]
    ) -> Float32[torch.Tensor, "batch bands H W"]:
        if self.device.type == "cpu" and pixels.dtype == np.uint8:
            return torch.from_numpy(self.preprocessing.of_bytes(pixels)).permute(0, 3, 1, 2)
        stored = torch.from_numpy(pixels).to(self.device)
        return self.preprocessing(stored.permute(0, 3, 1, 2))

    def segmentation(
        self, image: Shaped[np.ndarray, "bands H W"], views: Sequence[ScoreMap]
    ) -> Segmentation:
        """What the views of one image say about it."""
        with torch.inference_mode():
            mask, confidence = averaged_winner(views)
        return Segmentation(
            mask=self._claimed(mask, image),
            confidence=confidence[0].cpu().numpy(),
            labels=self.labels,
            image=image,
        )

    def class_mask(
        self, image: Shaped[np.ndarray, "bands H W"], views: Sequence[ScoreMap]
    ) -> ClassMask:
        """The mask of `segmentation` alone, which is found sooner than with the confidence."""
        with torch.inference_mode():
            mask = averaged_argmax(views)
        return ClassMask(mask=self._claimed(mask, image), labels=self.labels, image=image)

    def _claimed(
        self, winner: Integer[torch.Tensor, "1 H W"], image: Shaped[np.ndarray, "bands H W"]
    ) -> Integer[np.ndarray, "H W"]:
        """The mask; no class is claimed where no band of the image is a number."""
        mask = winner[0].cpu().numpy().astype(self.labels.mask_dtype, copy=False)
        measured = measured_where(image)
        if measured is not None:
            mask[~measured] = self.labels.ignore_index
        return mask


def load(
    model: str | Path,
    device: str | None = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    pixels: int | None = None,
) -> Model:
    """Read a model file, or a file that `perpixel export` wrote.

    Of a model file, "auto" takes the fastest of what is installed on this machine: torch, or
    OpenVINO, to which the network is converted once; in bf16 only where the processor has
    instructions for it. It is measured at the first image, for a second or two, and remembered
    in the cache folder; `choice` says what was taken and why.

    `load(path, runtime="torch", precision="fp32")` computes by the torch module itself, layer by
    layer as in training, so that scores agree with training's to the last digit. Every other
    choice computes a copy that is prepared for inference: later changes of `network` do not
    reach it. Of the module's result on a normalised batch, `network(batch).logits()` are the
    scores at every pixel, (B, classes, H, W).

    Args:
        model: a `.safetensors` file that perpixel wrote, or an export: `.onnx`, `.pt2`, or an
            OpenVINO `.xml` with its `.bin` beside it; or, as a text, the name of a model that comes
            along ("street"), or one on the model hub ("hf://owner/name", "hf://owner/name@v1").
        device: "cpu", "cuda", "cuda:1" …, or "auto" (also None): a GPU where there is one.
        runtime: "torch", "onnxruntime", "openvino", or "auto".
        precision: "fp32", "bf16", on a GPU "fp16", of exports "int8", or "auto".
        pixels: how many are to be predicted in all, where that is known. For up to 16 million
            "auto" measures nothing on a CPU, which would take longer than they do: if it has not
            measured this network before, it is torch in fp32.

    Raises:
        ModelError: the file is missing, damaged, or not one of ours; or the hub's cannot be had.
        ConfigError: there is no such device, runtime or precision; the runtime is not installed,
            or does not go with the device or the precision.
    """
    check_names(runtime, precision)
    path = model_file(model)
    if path.suffix.lower() in EXPORTS:
        card, computed, chosen = for_export(path, device, runtime, precision)
        return Model(None, card.labels, card.preprocessing, chosen, computed)
    chosen = pick_device(device)
    checkpoint = read_checkpoint(path)
    network = checkpoint.restore().to(chosen)
    computed = for_checkpoint(
        checkpoint, network, chosen, stored_checksum(path), runtime, precision, pixels
    )
    return Model(network, checkpoint.labels, checkpoint.preprocessing, chosen, computed)
