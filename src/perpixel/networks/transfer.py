"""Transfer: start a network from another one's weights, where names and shapes agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from perpixel.errors import WeightsError
from perpixel.networks.network import Network


@dataclass(frozen=True)
class Transfer:
    """What became of each of the network's tensors, by name.

    Args:
        copied: has the other network's values.
        left: keeps its own, because the other network has no such tensor or one of another shape.
    """

    copied: list[str]
    left: list[str]

    def summary(self) -> str:
        """One line: how many tensors were copied, and which parts were left as they were."""
        parts = list(dict.fromkeys(".".join(name.split(".")[:2]) for name in self.left))
        kept = f"; left as they were: {', '.join(parts)}" if parts else ""
        return f"{len(self.copied)} of {len(self.copied) + len(self.left)} tensors copied{kept}"


def initialise_from(network: Network, state_dict: Mapping[str, torch.Tensor]) -> Transfer:
    """Copy each tensor whose name and shape agree: an FCN-16s into an FCN-8s, or a model of other
    classes without its classifier.

    Raises:
        WeightsError: nothing of the encoder fits, so the networks are not related.
    """
    copied, left = [], []
    with torch.no_grad():
        for name, own in network.state_dict().items():
            other = state_dict.get(name)
            if other is not None and other.shape == own.shape:
                own.copy_(other)
                copied.append(name)
            else:
                left.append(name)
    # A network without a backbone is its own encoder.
    encoder = network.encoder_names(state_dict) or network.state_dict()
    # Counters of batches are scalars, which fit anything.
    if not any(name in encoder and state_dict[name].ndim for name in copied):
        known = network.backbone_name
        backbone = "of the same architecture" if known is None else f"with backbone {known}"
        raise WeightsError(
            "initial model",
            found="no tensor of its encoder fits the network's",
            expected=f"a model {backbone}",
            mend="Start from a model with the same backbone, or train with that backbone",
        )
    return Transfer(copied, left)
