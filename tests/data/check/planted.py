"""Faults to plant in a small dataset that is right, one by one.

`FAULTS[name]` spoils a folder that `write_right` wrote, and says which file has to be named, and
which words the mend has to have."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from data.check.right import HEIGHT, NAMES, WIDTH, drawn, masks, picture, write
from data.conftest import tiff_bytes

COLOURED = (
    "classes:\n- {name: sky, color: [70, 130, 180]}\n- {name: road, color: [128, 64, 128]}\n"
    "- {name: tree, color: [107, 142, 35]}\n"
)
COLOURS = np.array([(70, 130, 180), (128, 64, 128), (107, 142, 35)], np.uint8)


@dataclass(frozen=True)
class Fault:
    """How to plant a fault; the file that has to be named, and words of what to do about it."""

    plant: Callable[[Path], object]
    names: str
    mend: str


def every_mask(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Change the values of all masks."""

    def plant(root: Path) -> None:
        for path in masks(root):
            write(path, change(np.asarray(Image.open(path))))

    return plant


def one_mask(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Change the mask of the training image b."""
    return lambda root: write(
        root / "train/masks/b.png", change(np.asarray(Image.open(root / "train/masks/b.png")))
    )


def cut(name: str, share: float) -> Callable[[Path], int]:
    """Cut a file short."""

    def plant(root: Path) -> int:
        content = (root / name).read_bytes()
        return (root / name).write_bytes(content[: int(share * len(content))])

    return plant


def text(name: str, content: str) -> Callable[[Path], int]:
    return lambda root: (root / name).write_text(content, encoding="utf-8")


def flipped_bit(root: Path) -> None:
    path = root / "train/masks/b.png"
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 12] ^= 4
    path.write_bytes(content)


def short_jpeg(root: Path) -> None:
    (root / "train/images/b.png").unlink()
    write(root / "train/images/b.jpg", picture(1))
    cut("train/images/b.jpg", 0.7)(root)


def jpeg_mask(root: Path) -> None:
    (root / "train/masks/b.png").unlink()
    write(root / "train/masks/b.jpg", drawn(1))


def float_mask(root: Path) -> None:
    (root / "train/masks/b.png").unlink()
    write(root / "train/masks/b.tif", drawn(0).astype(np.float32))


def turned_photograph(root: Path) -> None:
    """A camera held upright: the pixels lie on their side, and so does the mask, silently."""
    exif = Image.Exif()
    exif[0x0112] = 6
    (root / "train/images/b.png").unlink()
    write(root / "train/images/b.jpg", picture(ord("b")), exif=exif)


def colour_masks(root: Path) -> None:
    """Masks of the classes' colours: no fault yet."""
    (root / "classes.yaml").write_text(COLOURED, encoding="utf-8")
    every_mask(lambda mask: COLOURS[np.where(mask == 255, 0, mask)])(root)


def unknown_colour(root: Path) -> None:
    colour_masks(root)
    path = root / "train/masks/b.png"
    pixels = np.asarray(Image.open(path)).copy()
    pixels[8:20, 8:20] = (1, 2, 3)
    write(path, pixels)


def compressed_colours(root: Path) -> None:
    colour_masks(root)
    for path in masks(root):
        pixels = np.full((HEIGHT, WIDTH, 3), COLOURS[0], np.uint8)
        pixels[13:, 21:] = COLOURS[1]
        pixels[:13, 37:] = COLOURS[2]
        jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        write(path, cv2.imdecode(jpeg, cv2.IMREAD_COLOR))


def smooth(mask: np.ndarray) -> np.ndarray:
    """Void outlines averaged with the classes beside them."""
    thick = mask.copy()
    thick[12:16, 12:28] = 255
    small = cv2.resize(thick, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_NEAREST)
    return cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def five_bands(root: Path) -> None:
    (root / "train/images/b.png").unlink()
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 5), np.uint8)
    content = tiff_bytes(pixels, photometric=1, extra=(0, 0, 0, 0))
    (root / "train/images/b.tif").write_bytes(content)


def not_numbers(root: Path) -> None:
    for path in sorted(root.glob("*/images/*.png")):
        pixels = picture(ord(path.stem)).astype(np.float32) / 255
        if path.stem == "b":
            pixels[3, 4] = np.inf
        path.unlink()
        path.with_suffix(".tif").write_bytes(tiff_bytes(pixels, photometric=2))


def wide_image(split: str, stem: str) -> Callable[[Path], bool]:
    pixels = picture(0).astype(np.uint16) * 257
    return lambda root: bool(cv2.imwrite(str(root / split / "images" / f"{stem}.png"), pixels))


def lists(*lines: str) -> Callable[[Path], None]:
    """Lists instead of folders, of which train.txt ends with these lines."""

    def plant(root: Path) -> None:
        for split, stems in NAMES.items():
            whole = [f"{split}/images/{s}.png {split}/masks/{s}.png" for s in stems]
            more = lines if split == "train" else ()
            (root / f"{split}.txt").write_text("\n".join([*whole, *more]) + "\n")

    return plant


def swapped(root: Path) -> None:
    for split in NAMES:
        for path in (root / split / "images").iterdir():
            grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            (root / split / "masks" / path.name).rename(path)
            cv2.imwrite(str(root / split / "masks" / path.name), grey)


def twin(root: Path) -> None:
    shutil.copy(root / "train/images/b.png", root / "train/images/b.bmp")


def emptied(folder: str) -> Callable[[Path], None]:
    def plant(root: Path) -> None:
        for path in (root / folder).rglob("*.png"):
            path.unlink()

    return plant


def unlabelled(root: Path) -> None:
    for path in (root / "train/masks").iterdir():
        write(path, np.full((HEIGHT, WIDTH), 255, np.uint8))


def resized(fx: float, fy: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda mask: cv2.resize(mask, None, fx=fx, fy=fy, interpolation=cv2.INTER_NEAREST)


def with_value(value: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(mask: np.ndarray) -> np.ndarray:
        mask = mask.copy()
        mask[20:22, 20:22] = value
        return mask

    return change


def levels(*values: int, dtype: type = np.uint8) -> Callable[[np.ndarray], np.ndarray]:
    """Each class's index becomes one of the values; what has no label becomes the first class."""
    return lambda mask: np.asarray(values, dtype)[np.where(mask == 255, 0, mask)]


FAULTS: dict[str, Fault] = {
    "an image cut short": Fault(cut("train/images/b.png", 0.8), "b.png", "Copy or download"),
    "a JPEG cut short": Fault(short_jpeg, "b.jpg", "Copy or download"),
    "an image that is text": Fault(text("train/images/b.png", "sorry"), "b.png", "Convert it"),
    "an image without content": Fault(text("val/images/e.png", ""), "e.png", "leave it out"),
    "a mask cut short": Fault(cut("val/masks/e.png", 0.8), "e.png", "Copy or download"),
    "a mask with a flipped bit": Fault(flipped_bit, "b.png", "leave it out"),
    "a JPEG mask": Fault(jpeg_mask, "b.jpg", "8-bit grey or palette PNG"),
    "a photograph as a mask": Fault(one_mask(lambda _: picture(0)), "b.png", "palette PNG"),
    "a float mask": Fault(float_mask, "b.tif", "palette PNG"),
    "an image without a mask": Fault(
        lambda root: (root / "train/masks/b.png").unlink(), "b.png", "Add the missing files"
    ),
    "a mask without an image": Fault(
        lambda root: (root / "val/images/e.png").unlink(), "e.png", "Add the missing files"
    ),
    "two images of one name": Fault(twin, "b.bmp", "Rename or remove one"),
    "names that differ in case": Fault(
        lambda root: (root / "train/masks/b.png").rename(root / "train/masks/B.png"),
        "B.png",
        "Rename one of the two",
    ),
    "a mask of another size": Fault(
        one_mask(lambda mask: mask[:-1]), "b.png", "resize it by nearest neighbour"
    ),
    "a photograph turned by EXIF": Fault(turned_photograph, "b.png", "EXIF orientation"),
    "a mask on its side": Fault(one_mask(np.transpose), "b.png", "on its side"),
    "a mask of half the size": Fault(one_mask(resized(0.5, 0.5)), "b.png", "--fix"),
    "a mask of three quarters the size": Fault(
        one_mask(resized(0.75, 0.75)), "b.png", "for this size of the image"
    ),
    "a value that is no class": Fault(one_mask(with_value(7)), "b.png (7)", "Correct the masks"),
    "classes counted from 1": Fault(every_mask(levels(1, 2, 3)), "a.png (3)", "subtract 1"),
    "classes stretched to 255": Fault(
        every_mask(levels(0, 127, 255)), "a.png (127)", "divide them by 127"
    ),
    "classes stretched to 16 bits": Fault(
        every_mask(levels(0, 257, 514, dtype=np.uint16)), "a.png (257, 514)", "divide them by 257"
    ),
    "another ignore index than the masks have": Fault(
        text("classes.yaml", "classes: [sky, road, tree]\nignore_index: 254\n"),
        "a.png (255)",
        "`ignore_index: 255`",
    ),
    "a class too few": Fault(
        text("classes.yaml", "classes: [sky, road]\nignore_index: 255\n"), "a.png (2)", "name the"
    ),
    "classes that nobody named": Fault(
        every_mask(levels(0, 3, 4)), "a.png (3, 4)", "name the others too"
    ),
    "borders that were averaged": Fault(every_mask(smooth), "a.png (", "make the masks anew"),
    "a colour that is no class": Fault(unknown_colour, "b.png ((1, 2, 3))", "Correct the masks"),
    "colours that were compressed": Fault(compressed_colours, "a.png (", "make the masks anew"),
    "colours that no class has": Fault(
        every_mask(lambda mask: COLOURS[np.where(mask == 255, 0, mask)]), "classes.yaml", "color:"
    ),
    "five bands among three": Fault(five_bands, "b.tif", "Convert the images to one kind"),
    "16 bits among 8": Fault(wide_image("train", "b"), "b.png", "Convert the images"),
    "16 bits in validation alone": Fault(wide_image("val", "e"), "e.png", "Convert the images"),
    "pixels that are no numbers": Fault(not_numbers, "b.tif", "Fill those pixels"),
    "training masks without a label": Fault(unlabelled, "a.png", "Label the pixels"),
    "0 and 255 for three classes": Fault(
        every_mask(levels(0, 255, 255)), "a.png", "name two classes"
    ),
    "images and masks exchanged": Fault(swapped, "a.png", "Exchange images and masks"),
    "a validation split without images": Fault(emptied("val"), "val", "Add images to it"),
    "a class list that is no YAML": Fault(
        text("classes.yaml", "classes: [sky, road"), "classes.yaml", "Write `classes:"
    ),
    "an ignore index that is a class": Fault(
        text("classes.yaml", "classes: [sky, road, tree]\nignore_index: 2\n"),
        "classes.yaml",
        "Write `classes:",
    ),
    "a list of files that are not there": Fault(
        lists("train/images/z.png train/masks/z.png"), "z.png", "take them out of the list"
    ),
    "a training image without a mask in a list": Fault(
        lists("val/images/e.png"), "e.png", "Add the mask"
    ),
}


def damaged_inside(path: Path, pixels: np.ndarray) -> None:
    """A PNG with the right checksums, whose compressed pixels make no sense in the middle."""
    write(path, pixels)
    content = bytearray(path.read_bytes())
    start = content.index(b"IDAT")
    end = content.index(b"IEND") - 8
    middle = (start + end) // 2
    content[middle : middle + 40] = b"\xff" * 40
    content[end : end + 4] = zlib.crc32(content[start:end]).to_bytes(4, "big")
    path.write_bytes(content)
