"""What computes a network: torch or another runtime, all behind one interface."""

from perpixel.inference.runtimes.runtime import Runtime
from perpixel.inference.runtimes.torch_runtime import TorchRuntime

__all__ = ["Runtime", "TorchRuntime"]
