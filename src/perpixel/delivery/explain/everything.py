"""All explanations of one image, as figures or as files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from perpixel.delivery.explain import sheet
from perpixel.delivery.explain.doubt import certainty
from perpixel.delivery.explain.heat import class_index, heat_maps
from perpixel.delivery.explain.kernel_pictures import upsampling_kernels
from perpixel.delivery.explain.one_pixel import check_place, pixel
from perpixel.delivery.explain.skip_levels import skips
from perpixel.errors import ConfigError, OutputError
from perpixel.inference.image import ImageLike, decoded
from perpixel.inference.predictor import Model
from perpixel.whole_file import write_whole


@dataclass(frozen=True, eq=False)
class Explanation:
    """The figures that explain one prediction.

    Args:
        figures: by name: heat_maps, certainty, skips, pixel, upsampling.
        left_out: of the others, why the network has no such picture.
    """

    figures: Mapping[str, Figure]
    left_out: Mapping[str, str]

    def save(self, folder: str | Path) -> list[Path]:
        """Write each figure as FOLDER/NAME.png, whole or not at all; the folder is made.

        Raises:
            OutputError: a file cannot be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            found = f"cannot be made ({error.strerror})"
            raise OutputError(folder, found=found, mend="Give a folder that can be") from None
        paths = []
        for name, figure in self.figures.items():
            paths.append(folder / f"{name}.png")
            write_whole(paths[-1], sheet.as_png(figure))
        return paths


def explain(
    model: Model,
    image: ImageLike,
    *,
    classes: Sequence[str] | None = None,
    place: tuple[int, int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Explanation:
    """Draw everything that explains a model's prediction of an image.

    Args:
        model: what predicts.
        image: a path, a Pillow image or an array, as `Model.predict` takes it.
        classes: whose heat maps are drawn; None: of all.
        place: (x, y) of the pixel that is explained; None: the middle of the image.
        progress: called with (figures done, figures in all) after each figure.

    Raises:
        ConfigError: a class is none of the model's, or the pixel is not in the image.
        DataError: the image cannot be decoded.
        ModelError: it has other bands than the model takes, or the model is an exported file.
    """
    # Pictures look into the layers: they and the scores come from one and the same module.
    model = model.as_trained()
    array, name = decoded(image)
    height, width = array.shape[1:]
    middle = (width // 2, height // 2)
    # Wrong wishes are errors; what the network does not have is left out.
    for wanted in classes or ():
        class_index(model.labels, wanted)
    check_place(place or middle, (height, width), name)
    kinds: dict[str, Callable[[], Figure]] = {
        "heat_maps": lambda: heat_maps(model, image, classes),
        "certainty": lambda: certainty(model, image),
        "skips": lambda: skips(model, image),
        "pixel": lambda: pixel(model, image, place or middle),
        "upsampling": lambda: upsampling_kernels(model),
    }
    figures: dict[str, Figure] = {}
    left_out: dict[str, str] = {}
    for done, (kind, draw) in enumerate(kinds.items(), start=1):
        try:
            figures[kind] = draw()
        except ConfigError as error:
            left_out[kind] = str(error)
        if progress is not None:
            progress(done, len(kinds))
    return Explanation(figures, left_out)
