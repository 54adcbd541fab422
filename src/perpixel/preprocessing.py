"""Preprocessing: from an image's own numbers to a network's input. Training and prediction
read one object, which travels inside the model file, so the two cannot drift apart."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32, Shaped, UInt8
from pydantic import BaseModel, ConfigDict, Field, model_validator

from perpixel.errors import ModelError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# ITU-R BT.601 luma: how RGB becomes one grey band.
LUMA = (0.299, 0.587, 0.114)


class Preprocessing(BaseModel):
    """How an image becomes a network's input: (image × range / full − mean) / std, band by band.

    `full` is 255 for 8-bit images, 65535 for 16-bit ones and 1 for float images.

    Args:
        bands: how many bands the network takes.
        order: "rgb" as images are decoded, or "bgr": bands reversed before mean and std apply.
        range: the value that the brightest pixel has before mean and std (1, or 255 as Caffe).
        mean: one for each band, in units of `range`, in the network's band order.
        std: likewise.
        conversion: "grey-rgb": a network of three bands takes a grey image by repeating it, and one
            of a single band an RGB image by its luma (ITU-R BT.601). "none": bands have to fit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bands: int = Field(default=3, ge=1)
    order: Literal["rgb", "bgr"] = "rgb"
    range: float = Field(default=1.0, gt=0)
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    conversion: Literal["grey-rgb", "none"] = "grey-rgb"

    @model_validator(mode="after")
    def _agree(self) -> Preprocessing:
        if len(self.mean) != self.bands or len(self.std) != self.bands:
            raise ValueError(
                f"{self.bands} bands but {len(self.mean)} means and {len(self.std)} deviations"
            )
        if min(self.std) <= 0:
            raise ValueError("a standard deviation is not above 0")
        return self

    def fit_bands(
        self,
        image: Shaped[np.ndarray, "bands H W"],
        where: str = "image",
        measured: Bool[np.ndarray, "H W"] | None = None,
    ) -> Shaped[np.ndarray, "own_bands H W"]:
        """The image with the bands that the network takes, in the image's own type.

        Grey becomes RGB or RGB grey as `conversion` says; anything else must fit. NaN, which says
        that there is no data, and what was not measured become what is 0 in the network, like what
        lies beyond the image.

        Args:
            image: its pixels.
            where: names it in errors.
            measured: where any band was; None: everywhere.

        Raises:
            ModelError: the image has another number of bands than the network, and no conversion.
        """
        found = image.shape[0]
        convertible = {found, self.bands} == {1, 3}
        if found == self.bands:
            fitted = image
        elif not convertible or self.conversion == "none":
            recorded = " with `--conversion grey-rgb`" if convertible else ""
            raise ModelError(
                where,
                found=f"{found} bands",
                expected=f"{self.bands} bands, as the model was trained on",
                mend="Give an image with those bands, or train a model on images with these"
                + recorded,
            )
        elif found == 1:
            fitted = np.repeat(image, 3, axis=0)
        else:
            grey = np.tensordot(np.asarray(LUMA), image.astype(np.float64), axes=1)[None]
            if np.issubdtype(image.dtype, np.integer):
                grey = np.rint(grey)
            fitted = grey.astype(image.dtype)
        if fitted.dtype.kind == "f" and np.isnan(fitted).any():
            fitted = np.where(np.isnan(fitted), self.padding(fitted.dtype), fitted)
        if measured is not None:
            fitted = np.where(measured, fitted, self.padding(fitted.dtype))
        return fitted

    def fill(self, dtype: np.dtype[np.generic]) -> Float32[np.ndarray, "bands"]:
        """The image value, in units of `dtype`, that becomes 0 in the network: for padding."""
        mean = np.asarray(self.mean if self.order == "rgb" else self.mean[::-1], np.float32)
        return np.asarray(mean * np.float32(_full(dtype) / self.range), np.float32)

    def padding(self, dtype: np.dtype[np.generic]) -> Shaped[np.ndarray, "bands 1 1"]:
        """`fill` as a pixel of an image of that type."""
        fill = self.fill(dtype)
        whole = np.rint(fill) if np.issubdtype(dtype, np.integer) else fill
        return whole.astype(dtype)[:, None, None]

    def __call__(
        self, images: Shaped[torch.Tensor, "batch bands H W"]
    ) -> Float32[torch.Tensor, "batch bands H W"]:
        """Normalise a batch with the network's own bands; uint8, uint16 or float, on any device.

        Raises:
            ModelError: the batch has another number of bands than the network.
        """
        if images.shape[1] != self.bands:
            raise ModelError(
                "image",
                found=f"{images.shape[1]} bands",
                expected=f"{self.bands} bands, as the model was trained on",
                mend="Give images with those bands",
            )
        full = {torch.uint8: 255.0, torch.uint16: 65_535.0}.get(images.dtype, 1.0)
        values = images.to(torch.float32)
        if self.order == "bgr":
            values = values.flip(1)
        mean = torch.tensor(self.mean, device=values.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=values.device).view(1, -1, 1, 1)
        # One multiplication and one addition for each pixel.
        return values * (self.range / full / std) - mean / std

    def of_bytes(
        self, images: UInt8[np.ndarray, "batch H W bands"]
    ) -> Float32[np.ndarray, "batch H W bands"]:
        """The same for 8-bit images in memory, to the last bit, and bands last.

        A band has no more than 256 values: each is normalised once, and then looked up.
        """
        values = torch.arange(256, dtype=torch.uint8).expand(1, self.bands, 1, 256)
        table = self(values)[0, :, 0].numpy()
        if self.order == "bgr":
            images = images[..., ::-1]
        batch, height, width, bands = images.shape
        normalised = np.empty(images.shape, np.float32)
        if bands == len(LUMA):
            # OpenCV looks all bands of a pixel up in one pass.
            rows = np.ascontiguousarray(images).reshape(batch * height, width, bands)
            cv2.LUT(rows, np.ascontiguousarray(table.T)[None], normalised.reshape(rows.shape))
        else:
            for band, one in enumerate(table):
                normalised[..., band] = one[images[..., band]]
        return normalised


def _full(dtype: np.dtype[np.generic]) -> float:
    """The value of the brightest pixel of an image of this type."""
    return {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65_535.0}.get(dtype, 1.0)
