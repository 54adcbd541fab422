"""The model hub: `hf://owner/name`, what is fetched from it, and what its errors mean.

A repository holds a model in `model.safetensors`, and in `SHA256SUMS` what its bytes add up to.
"""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from perpixel.distribution.model_file import HUB
from perpixel.errors import ModelError, PerpixelError

MODEL, SUMS, CARD = "model.safetensors", "SHA256SUMS", "README.md"
TIMEOUT = 10.0  # seconds until the hub answers
_ADDRESS = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>\S+))?", re.ASCII)
_SUM = re.compile(r"(?P<sum>[0-9a-f]{64}) [ *](?P<name>.+)")
NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}
LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN"


@dataclass(frozen=True)
class Address:
    """A model on the hub.

    Args:
        repository: "owner/name".
        revision: a branch, a tag or a commit; None: the main branch.
    """

    repository: str
    revision: str | None = None

    @classmethod
    def of(cls, text: str) -> Address:
        """The address that a text is, with or without its `hf://`.

        Raises:
            ModelError: it is none.
        """
        match = _ADDRESS.fullmatch(text.removeprefix(HUB))
        if match is None:
            raise ModelError(
                text,
                found="no address of a model on the hub",
                expected=f"{HUB}owner/name, or {HUB}owner/name@revision",
                mend="Give such an address",
            )
        return cls(match["repository"], match["revision"])

    def __str__(self) -> str:
        return f"{HUB}{self.repository}" + (f"@{self.revision}" if self.revision else "")


def fetch(address: Address) -> Path:
    """The model's file in the hub's cache, fetched where it is not there or no longer the newest.

    The hub is asked which commit is meant; where it cannot be reached, the last one that was
    fetched is taken. What arrived has the SHA-256 that was pushed with it; the model's own checksum
    is for `read_checkpoint` to compare.

    Raises:
        ModelError: there is no such model, it may not be read, the hub is out of reach and the
            model not in the cache, or its bytes are not those that were pushed; those are removed.
    """
    with translated(str(address)), silent():
        folder = Path(
            snapshot_download(
                address.repository,
                revision=address.revision,
                allow_patterns=[MODEL, SUMS],
                local_files_only=not _answers(address),
            )
        )
    pushed, model = sums(folder / SUMS, address).get(MODEL), folder / MODEL
    if pushed is None or not model.is_file():
        raise _no_model(address)
    arrived = sha256(model.read_bytes())
    if arrived != pushed:
        for file in (model, folder / SUMS):
            file.resolve().unlink(missing_ok=True)
            file.unlink(missing_ok=True)
        raise ModelError(
            str(address),
            found=f"what arrived is not what was pushed: SHA-256 {arrived[:12]}…",
            expected=f"{pushed[:12]}…",
            mend="It was removed from the cache: try again, or ask the owner to push it anew",
        )
    return model


def sums(file: Path, address: Address) -> dict[str, str]:
    """What a `SHA256SUMS` says: SHA-256 by file name.

    Raises:
        ModelError: it is missing, or is none.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise _no_model(address) from None
    matches = [_SUM.fullmatch(line) for line in lines]
    return {match["name"]: match["sum"] for match in matches if match is not None}


def sha256(content: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _answers(address: Address) -> bool:
    """Whether the hub can be asked. Once and briefly: the download by itself would wait for ever.

    Raises:
        Exception: the hub answered, and said no.
    """
    try:
        HfApi().model_info(address.repository, revision=address.revision, timeout=TIMEOUT)
    except Exception as error:
        if _unreachable(error):
            return False
        raise
    return True


def _unreachable(error: BaseException) -> bool:
    """Whether the hub never answered. Its client's HTTP library has errors of its own."""
    if isinstance(error, HfHubHTTPError):
        return error.response is not None and error.response.status_code >= 500
    theirs = type(error).__module__.partition(".")[0].startswith("httpx")
    return theirs or isinstance(error, OfflineModeIsEnabled | ConnectionError | TimeoutError)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """The client's errors as one of ours, in one line.

    Args:
        where: which repository it is about.

    Raises:
        ModelError: in place of every error of the client and its HTTP library.
    """
    try:
        yield
    except PerpixelError:
        raise
    except Exception as error:
        found, mend = _meaning(error)
        raise ModelError(where, found=found, mend=mend) from None


def _meaning(error: Exception) -> tuple[str, str]:
    """What was found, and the mend. Raises the error again where it is none of the client's."""
    hub = constants.ENDPOINT
    match error:
        case LocalTokenNotFoundError():
            return "needs a login, and there is no token on this machine", LOG_IN
        case GatedRepoError():
            return (
                "its owner decides who may read it",
                f"Ask for access at {hub}, and {_lower(LOG_IN)}",
            )
        case RepositoryNotFoundError():
            # Private ones are not told apart from those that do not exist.
            found = f"{hub} has no such model, or not for you"
            return found, f"Correct the address. For a private model: {_lower(LOG_IN)}"
        case RevisionNotFoundError():
            return "the model has no such revision", "Give a branch, a tag or a commit of it"
        case LocalEntryNotFoundError():
            found = f"{hub} cannot be reached, and the model is not in the cache"
            return found, "Try again with a network (HF_HUB_OFFLINE must not be set)"
        case EntryNotFoundError():
            return "a file of it is missing", "Push it anew with `perpixel push`"
        case HfHubHTTPError() if error.response.status_code in (401, 403):
            status = error.response.status_code
            return f"{hub} refuses ({status})", f"{LOG_IN}, with a token that has the right to"
        case RuntimeError() if isinstance(error.__cause__, Exception):
            # So it wraps what went wrong with one file of several.
            return _meaning(error.__cause__)
        case OSError() if error.errno in NO_PLACE:
            found = f"cannot be kept on this machine ({error.strerror})"
            return found, "Give HF_HOME a folder that has room and may be written to"
        case _ if _unreachable(error) or isinstance(error, HfHubHTTPError | OSError | ValueError):
            said = " ".join((str(error).strip() or type(error).__name__).split())
            return f"{hub}: {said[:200].rstrip('.')}", "Try again later, or look at HF_ENDPOINT"
    raise error


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


@contextmanager
def silent() -> Iterator[None]:
    """Without the client's progress bars: only the command speaks."""
    before = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            enable_progress_bars()


def _no_model(address: Address) -> ModelError:
    return ModelError(
        str(address),
        found=f"no model that perpixel pushed: it lacks {MODEL} or {SUMS}",
        mend="Give the address of one that was pushed with `perpixel push`",
    )
