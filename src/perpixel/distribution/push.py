"""Push: a model, its card and its checksums, in one commit to a repository of the model hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi

from perpixel.checkpoint import parsed, read_checkpoint, serialised
from perpixel.distribution.card import model_card
from perpixel.distribution.hub import CARD, MODEL, SUMS, Address, sha256, silent, translated
from perpixel.distribution.publication import published
from perpixel.errors import ModelError


@dataclass(frozen=True)
class Pushed:
    """What was pushed.

    Args:
        address: of exactly this commit.
        page: where people see it.
        sha256: of the model's file.
        size: of it, in bytes.
    """

    address: Address
    page: str
    sha256: str
    size: int


def push(model: Path, repository: str, *, private: bool = False, licence: str = "") -> Pushed:
    """Give a model to others: upload it, a generated card (`README.md`) and `SHA256SUMS`.

    The repository is made where it does not exist. What is uploaded says nothing of this machine's
    folders, and is otherwise the model: `publication.published`.

    Args:
        model: a model file.
        repository: "owner/name", with or without `hf://` before it.
        private: the repository, where it is made, can be seen by its owner alone.
        licence: of the weights, written into the model; else what it says already.

    Raises:
        ModelError: the model cannot be read, the address is none, nobody is logged in, the hub is
            out of reach or refuses.
    """
    address = Address.of(repository)
    if address.revision is not None:
        raise ModelError(
            str(address),
            found="a revision, where there is none yet",
            expected="owner/name: what is pushed becomes the newest of its main branch",
            mend="Leave the revision out",
        )
    own = read_checkpoint(model)
    checkpoint = published(own, licence=licence)
    # A file that says what it should say already stays the file that it is, with its checksum.
    same = checkpoint.provenance == own.provenance
    content = model.read_bytes() if same else serialised(checkpoint)
    parsed(content, model)  # nothing leaves this machine that could not be read again
    total = sha256(content)
    card = model_card(checkpoint, str(address), total).encode()
    files = {
        MODEL: content,
        CARD: card,
        SUMS: f"{total}  {MODEL}\n{sha256(card)}  {CARD}\n".encode(),
    }
    with translated(str(address)), silent():
        hub = HfApi()
        hub.whoami()  # says what is wrong with a login, which the next calls do not
        hub.create_repo(address.repository, private=private, exist_ok=True)
        commit = hub.create_commit(
            address.repository,
            [CommitOperationAdd(name, file) for name, file in files.items()],
            commit_message=f"perpixel push: {checkpoint.network.name}, SHA-256 {total[:12]}",
        )
    return Pushed(Address(address.repository, commit.oid), commit.commit_url, total, len(content))
