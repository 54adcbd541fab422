"""Training batches: the same for the same seed and epoch, however many processes load them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped
from torch.utils.data import DataLoader, Dataset

from perpixel.data import worker
from perpixel.data.augment import Augmentation, augment
from perpixel.data.balance import Balance, pixel_of
from perpixel.data.dataset import Pair
from perpixel.data.order import Key, Order, random_draws
from perpixel.data.sample import Sample, leave_unmeasured_out, read_sample
from perpixel.errors import DataError, PerpixelError
from perpixel.labels import LabelSpace
from perpixel.preprocessing import Preprocessing

# Decoded images are kept, in each loading process, up to so many bytes: decoding takes four times
# as long as augmentation.
KEPT_BYTES = 1 << 29
# Loading processes that are lost so often without a batch between are lost for a reason.
MOST_LOST = 3


@dataclass(frozen=True)
class Batch:
    """What one training step sees.

    Args:
        images: uint8, uint16 or float32 (B, bands, h, w), not yet normalised.
        masks: uint8 or uint16 (B, h, w), class index or ignore index.
        paths: the images' files.
    """

    images: Shaped[torch.Tensor, "B bands h w"]
    masks: Shaped[torch.Tensor, "B h w"]
    paths: tuple[Path, ...]


class TrainingSamples(Dataset[Sample | PerpixelError]):
    """The augmented samples of a split; each draw follows from (seed, epoch, index).

    An error is returned, not raised: it has to travel from a loading process in one piece.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        labels: LabelSpace,
        augmentation: Augmentation,
        preprocessing: Preprocessing,
        seed: int,
    ) -> None:
        self.pairs = tuple(pairs)
        self.labels = labels
        self.augmentation = augmentation
        self.preprocessing = preprocessing
        self.seed = seed
        self._kept: dict[int, Sample] = {}
        self._room = KEPT_BYTES

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: Key) -> Sample | PerpixelError:
        pair = self.pairs[key.image]
        try:
            sample = self._decoded(key.image)
            name = str(pair.image)
            image = self.preprocessing.fit_bands(sample.image, name, sample.measured)
        except PerpixelError as error:
            return error
        if sample.mask is None:
            return _unlabelled(pair)
        rng = random_draws(self.seed, key.epoch, key.place)
        image, mask = augment(
            image,
            sample.mask,
            self.augmentation,
            rng,
            self.preprocessing.fill(image.dtype),
            self.labels.ignore_index,
            None if key.focus < 0 else pixel_of(sample.mask, key.focus, rng),
        )
        return Sample(image, mask, pair)

    def _decoded(self, index: int) -> Sample:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        sample = read_sample(self.pairs[index], self.labels)
        sample = leave_unmeasured_out(sample, self.labels)
        arrays = (sample.image, sample.mask, sample.measured)
        size = sum(array.nbytes for array in arrays if array is not None)
        if size <= self._room:
            self._kept[index] = sample
            self._room -= size
        return sample

    def collate(self, samples: list[Sample | PerpixelError]) -> Batch | PerpixelError:
        """A batch of samples, padded at the bottom and right to the largest of them."""
        good: list[Sample] = []
        for sample in samples:
            if isinstance(sample, PerpixelError):
                return sample
            good.append(sample)
        first = good[0]
        for sample in good:
            if sample.image.dtype != first.image.dtype:
                return DataError(
                    sample.pair.image,
                    found=f"{sample.image.dtype} pixels",
                    expected=f"{first.image.dtype} pixels, as {first.pair.image.name} has",
                    mend="Convert the images to one type",
                )
        bands = first.image.shape[0]
        height = max(sample.image.shape[1] for sample in good)
        width = max(sample.image.shape[2] for sample in good)
        images = np.empty((len(good), bands, height, width), first.image.dtype)
        images[:] = self.preprocessing.padding(images.dtype)
        masks = np.full(
            (len(good), height, width), self.labels.ignore_index, self.labels.mask_dtype
        )
        for slot, sample in enumerate(good):
            _, rows, columns = sample.image.shape
            images[slot, :, :rows, :columns] = sample.image
            masks[slot, :rows, :columns] = sample.mask
        paths = tuple(sample.pair.image for sample in good)
        return Batch(torch.from_numpy(images), torch.from_numpy(masks), paths)


class TrainingLoader:
    """The batches of every epoch of a run. Loading processes start once and live with it; where
    one is lost, all are started anew."""

    def __init__(
        self,
        samples: TrainingSamples,
        batch_size: int,
        workers: int,
        balance: Balance | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self._samples = samples
        self._workers = workers
        self._plan = Order(len(samples), batch_size, samples.seed, balance, share)
        self._loader = self._started()

    @property
    def batches(self) -> int:
        """How many batches an epoch has."""
        return self._plan.batches

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from batch `start` on, bit for bit the same each time.

        Raises:
            DataError: a file cannot be decoded, or image and mask do not fit.
            ModelError: an image has other bands than the network takes.
            RuntimeError: loading processes are lost again and again.
        """
        lost = 0
        while start < self.batches:
            self._plan.epoch, self._plan.start = epoch, start
            try:
                for batch in self._loaded():
                    if isinstance(batch, PerpixelError):
                        try:
                            raise batch
                        finally:
                            # Else the error's traceback holds this frame, this frame the error, and
                            # the loading processes outlive the loader until a garbage collection.
                            del batch
                    start, lost = start + 1, 0
                    yield batch
            except _LoadersLostError:
                lost += 1
                if lost > MOST_LOST:
                    raise
                self._loader = self._started()

    def _loaded(self) -> Iterator[Batch | PerpixelError]:
        """The batches from the plan's start on.

        Raises:
            _LoadersLostError: a loading process was killed.
        """
        batches: Iterator[Batch | PerpixelError] | None = None
        while True:
            try:
                # Here, too, it is found out that a process was killed, after the pass before.
                if batches is None:
                    batches = self._begun()
                batch = next(batches)
            except StopIteration:
                return
            except (OSError, EOFError) as error:
                # What a process has sent can no longer be fetched from it.
                if not self._workers or _is_own(error):
                    raise
                raise _LoadersLostError(str(error)) from None
            except RuntimeError as error:
                if "DataLoader worker" not in str(error) or _is_own(error):
                    raise
                raise _LoadersLostError(str(error)) from None
            yield batch

    def _begun(self) -> Iterator[Batch | PerpixelError]:
        batches = iter(self._loader)
        watched = hasattr(signal, "SIGCHLD")
        if self._workers and watched and threading.current_thread() is threading.main_thread():
            # Torch's handler would raise in the middle of whatever step runs when a process dies.
            # Without it, the next batch that is asked for finds out.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        return batches

    def _started(self) -> DataLoader[Sample | PerpixelError]:
        if not self._workers:
            return DataLoader(
                self._samples, batch_sampler=self._plan, collate_fn=self._samples.collate
            )
        prepare, release = worker.preparation()
        loader = DataLoader(
            self._samples,
            batch_sampler=self._plan,
            collate_fn=self._samples.collate,
            num_workers=self._workers,
            multiprocessing_context=worker.start_method(),
            persistent_workers=True,
            worker_init_fn=prepare,
        )
        # Called when the loader is gone, or before Python waits for all processes at its end.
        Finalize(loader, release, exitpriority=0)
        return loader


def _is_own(error: Exception) -> bool:
    """Whether a loading process raised an error itself, and would again, rather than was killed."""
    return str(error).startswith("Caught ")


class _LoadersLostError(RuntimeError):
    """A loading process was killed, by the system where memory is short."""


def training_loader(
    pairs: Sequence[Pair],
    labels: LabelSpace,
    augmentation: Augmentation,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    seed: int,
    workers: int,
    balance: Balance | None = None,
    share: tuple[int, int] = (0, 1),
) -> TrainingLoader:
    """The training batches of some pairs, shuffled anew in each epoch.

    Every batch has `batch_size` samples: the last of an epoch is filled up from the beginning of
    the epoch's own order, because a batch norm cannot learn from a batch of one. With fewer
    samples than `batch_size`, one batch has them all.

    Args:
        pairs: labelled images.
        labels: what the masks' values mean.
        augmentation: how samples are varied.
        preprocessing: says the network's bands and the value that pads an image.
        batch_size: samples in a batch.
        seed: order and variation follow from it and the epoch.
        workers: loading processes; 0 loads in the calling one.
        balance: says which samples are drawn by class, of these pairs, instead of in turn.
        share: (k, n): of the samples of each batch those at k, k + n, k + 2n …

    Raises:
        DataError: there are no pairs, or one has no mask.
    """
    if not pairs:
        mend = "Give at least one image with its mask"
        raise DataError("training", found="no images", mend=mend)
    for pair in pairs:
        if pair.mask is None:
            raise _unlabelled(pair)
    samples = TrainingSamples(pairs, labels, augmentation, preprocessing, seed)
    return TrainingLoader(samples, batch_size, workers, balance, share)


def _unlabelled(pair: Pair) -> DataError:
    mend = "Add its mask, or take it out of the training split"
    return DataError(pair.image, found="a training image without a mask", mend=mend)
