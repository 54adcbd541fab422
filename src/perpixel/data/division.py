"""Pairs that nobody has split, into training and validation: by a share, or by folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perpixel.data.dataset import Pair
from perpixel.data.found import UNSPLIT
from perpixel.errors import ConfigError, DataError

# The share of the pairs that validate, where nothing else is said.
VALIDATION_SHARE = 0.2
# The draw belongs to the data, not to a run: runs of other seeds are compared on the same images.
_SEED = 0


@dataclass(frozen=True)
class Folds:
    """One of `count` parts of a small dataset validates, the others train (cross-validation).

    Args:
        count: at least 2.
        number: which part validates, 1 … count.
    """

    count: int
    number: int

    @classmethod
    def of(cls, count: int | None, number: int | None) -> Folds | None:
        """The folds that were asked for; None where none were. Without a number: the first.

        Raises:
            ConfigError: there is a number without a count, or they do not fit.
        """
        if count is None:
            if number is None:
                return None
            found = f"fold {number}, but not of how many"
            raise ConfigError("fold", found=found, mend="Give --folds too, for example --folds 5")
        return cls(count, 1 if number is None else number)

    def __post_init__(self) -> None:
        if self.count < 2 or not 1 <= self.number <= self.count:
            raise ConfigError(
                "folds",
                found=f"fold {self.number} of {self.count}",
                expected="2 folds or more, and a fold from 1 to their number",
                mend="Give for example --folds 5 --fold 1",
            )


def divide(
    root: Path, splits: Mapping[str, tuple[Pair, ...]], folds: Folds | None
) -> tuple[dict[str, tuple[Pair, ...]], tuple[str, ...]]:
    """The splits, with training and validation pairs where there was one of them alone.

    Pairs that nobody has split, or training pairs without validation pairs beside them, are
    divided by a draw that is the same for the same folder.

    Args:
        root: the dataset, to name it in errors.
        splits: as a layout found them.
        folds: None: a fifth of the pairs validates.

    Returns:
        the splits, and notes that say what was divided.

    Raises:
        DataError: there are fewer pairs than parts, only some pairs have a split, or the data has
            its own validation split but folds are asked for.
    """
    own = splits.keys() & {"train", "val"}
    placed = {pair.image for name in splits.keys() - {UNSPLIT} for pair in splits[name]}
    unsplit = [pair for pair in splits.get(UNSPLIT, ()) if pair.mask is not None]
    # A list of all images may lie beside those of the splits.
    left = [pair for pair in unsplit if pair.image not in placed]
    if own and left:
        raise DataError(
            root,
            found=f"{len(left)} labelled images without a split, {left[0].image.name} for one, "
            "beside others that have one",
            expected="a split for all, or for none",
            mend="Give each a split, or take it out",
        )
    whole = UNSPLIT if UNSPLIT in splits and not own else "train"
    if whole not in splits or "val" in splits:
        if folds is None:
            return dict(splits), ()
        found = f"splits of its own: {', '.join(splits)}"
        mend = "Leave out --folds, or put training and validation images together"
        raise DataError(root, found=found, expected="images without a split", mend=mend)
    pairs = splits[whole]
    parts = 2 if folds is None else folds.count
    if len(pairs) < parts:
        found = f"{len(pairs)} images to be divided into training and validation"
        raise DataError(root, found=found, expected=f"at least {parts}", mend="Add images")
    order = np.random.default_rng(_SEED).permutation(len(pairs))
    if folds is None:
        chosen = order[: max(1, round(VALIDATION_SHARE * len(pairs)))]
        how = f"{len(chosen)} of {len(pairs)} images, drawn once for all, are the validation split"
    else:
        chosen = order[folds.number - 1 :: folds.count]
        how = f"fold {folds.number} of {folds.count}: {len(chosen)} of {len(pairs)} images validate"
    held = frozenset(chosen.tolist())
    others = {name: kept for name, kept in splits.items() if name != whole}
    train, val = _take(pairs, held, False), _take(pairs, held, True)
    return {"train": train, "val": val, **others}, (how,)


def _take(pairs: Sequence[Pair], held: frozenset[int], inside: bool) -> tuple[Pair, ...]:
    return tuple(pair for place, pair in enumerate(pairs) if (place in held) is inside)
