"""Networks: images in, a ScoreMap out. `build` is the one list of architectures."""

from __future__ import annotations

from perpixel.networks.backbone import Backbone
from perpixel.networks.config import (
    DecoderConfig,
    FCNConfig,
    NetworkConfig,
    NetworkName,
    PaperFCNConfig,
    TorchvisionConfig,
    network_config,
    network_config_from_json,
    options_of,
)
from perpixel.networks.convolutionalize import convolutionalize
from perpixel.networks.deeplab import DeepLabConfig, build_deeplab
from perpixel.networks.fcn import FCN
from perpixel.networks.fcn_decoder import FCNDecoder
from perpixel.networks.network import Network
from perpixel.networks.paper_fcn import PaperFCN
from perpixel.networks.segnet import SegNetConfig, build_segnet
from perpixel.networks.unet import PaddedUNetConfig, UNetConfig, build_unet

__all__ = [
    "FCNConfig",
    "Network",
    "NetworkConfig",
    "NetworkName",
    "PaperFCNConfig",
    "build",
    "convolutionalize",
    "network_config",
    "network_config_from_json",
    "options_of",
]

FINEST = {"fcn32s": 32, "fcn16s": 16, "fcn8s": 8, "fcn4s": 4}


def build(config: NetworkConfig) -> Network:
    """The network with random weights.

    Raises:
        ConfigError: the backbone is unknown, or has no features of the strides that are needed.
    """
    match config:
        case FCNConfig():
            backbone = Backbone(config.backbone, config.bands, FINEST[config.name])
            return FCN(
                backbone, config.classes, config.head, config.head_channels, config.global_context
            )
        case PaperFCNConfig():
            return PaperFCN(
                config.name,
                config.classes,
                config.bands,
                config.fc6,
                config.upsampling,
                config.width,
            )
        case DecoderConfig():
            backbone = Backbone(config.backbone, config.bands, 2, width=config.width)
            return FCNDecoder(backbone, config.classes)
        case SegNetConfig():
            return build_segnet(config)
        case UNetConfig() | PaddedUNetConfig():
            return build_unet(config)
        case DeepLabConfig():
            return build_deeplab(config)
        case TorchvisionConfig():
            # torchvision takes a second to import.
            from perpixel.networks.torchvision_networks import TorchvisionNetwork

            return TorchvisionNetwork(config.name, config.classes, config.bands)
