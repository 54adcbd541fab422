"""The Ray cluster that computes: one that runs already, or one on this machine for a run alone."""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from perpixel.delivery.cluster import packages
from perpixel.errors import ConfigError

LOCAL, RUNNING = "local", "auto"
_QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
# With it Ray keeps to the loopback interface; it reads it when it is imported.
_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
# Where a cluster's head reads, in its home folder, who provides the machines. Without that file it
# asks the metadata services of clouds, on the network, even where usage statistics are off.
_PROVIDER = "ray_bootstrap_config.yaml"


@contextmanager
def connected(address: str | None, cpus: int = 1) -> Iterator[Any]:
    """Ray, connected to a cluster; what was started is stopped.

    Args:
        address: of a cluster, such as `ray://head:10001` or `head:6379`; "auto": the one that runs
            on this machine or that RAY_ADDRESS names; "local": one of its own, on this machine;
            None: "auto" where there is one, else "local". Where this process is connected already,
            it stays so.
        cpus: how many processors the workers on an own cluster need at least.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers.
    """
    if address is None:
        address = RUNNING if os.environ.get("RAY_ADDRESS") or _runs_here() else LOCAL
    if address == LOCAL:
        os.environ.setdefault(_LOOPBACK, "0")
    ray = packages.ray()
    if ray.is_initialized():
        yield ray
        return
    try:
        if address == LOCAL:
            with _own(ray, max(cpus, os.cpu_count() or 1)):
                yield ray
        else:
            _join(ray, address)
            yield ray
    finally:
        ray.shutdown()


def _runs_here() -> bool:
    return any(process.info["name"] == "raylet" for process in psutil.process_iter(["name"]))


def _join(ray: Any, address: str) -> None:
    try:
        ray.init(address=address, **_QUIET)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"--ray {address}",
            found=f"no Ray cluster answers ({reason[:200]})",
            expected="the address of a running one, such as head:6379",
            mend="Correct it, start one with `ray start --head`, or say --ray local",
        ) from None


@contextmanager
def _own(ray: Any, cpus: int) -> Iterator[None]:
    """A cluster of this process alone: no dashboard, a key of its own, and silent."""
    home = os.environ.get("HOME")
    with tempfile.TemporaryDirectory(prefix="perpixel-ray-") as folder:
        Path(folder, _PROVIDER).write_text("provider: {type: local}\n", encoding="utf-8")
        token = Path(folder, "token")
        token.touch(0o600)
        token.write_text(secrets.token_hex(32), encoding="ascii")
        keyed = any(name in os.environ for name in _TOKENS)
        # Its processes find that file; the workers find the user's own folder again.
        environment = {"env_vars": {"HOME": home}} if home is not None else None
        try:
            if not keyed:
                os.environ[_TOKENS[1]] = str(token)
            os.environ["HOME"] = folder
            try:
                ray.init(
                    address=LOCAL,
                    num_cpus=cpus,
                    include_dashboard=False,
                    runtime_env=environment,
                    **_QUIET,
                )
            finally:
                if home is None:
                    del os.environ["HOME"]
                else:
                    os.environ["HOME"] = home
            yield
        finally:
            ray.shutdown()
            if not keyed:
                del os.environ[_TOKENS[1]]
