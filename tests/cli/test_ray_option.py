"""`perpixel predict --ray` as far as it needs no Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Command
from perpixel.cli.ray_option import addressed, workers_of
from perpixel.delivery.cluster.run import Workers
from perpixel.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--ray", "--ray any"),
        ("--ray --out x", "--ray any --out x"),
        ("--ray model.safetensors s3://images", "--ray any model.safetensors s3://images"),
        ("--ray local x", "--ray local x"),
        ("--ray auto", "--ray auto"),
        ("--ray any", "--ray any"),
        ("--ray head:6379 x", "--ray head:6379 x"),
        ("--ray 10.0.0.1:6379", "--ray 10.0.0.1:6379"),
        ("--ray [::1]:6379", "--ray [::1]:6379"),
        ("--ray ray://head:10001 x", "--ray ray://head:10001 x"),
        ("--ray=local x", "--ray=local x"),
        ("predict x", "predict x"),
    ],
)
def test_an_address_may_be_left_out(given: str, expected: str) -> None:
    assert addressed(given.split()) == expected.split()


def test_workers_are_a_number_or_two() -> None:
    assert workers_of(None, None, None, None) == Workers(1, None, 1, None, None)
    assert workers_of("3", 2, 0.25, "2G") == Workers(3, 3, 2, 0.25, "2G")
    assert workers_of("2:16", None, None, None) == Workers(2, 16)
    for wrong in ("0", "a", "3:2", "-1", "1:2:3", ""):
        with pytest.raises(ConfigError, match="--workers"):
            workers_of(wrong, None, None, None)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--overlay",), "--overlay: given together with --ray"),
        (("--format", "coco", "--show"), "--format coco and --show: given together with --ray"),
        (("--areas", "a.csv"), "--areas: given together with --ray"),
        (("--workers", "many"), "--workers: 'many'"),
        (("--memory", "much"), "memory: 'much'"),
    ],
)
def test_what_does_not_go_with_ray_is_said_in_one_line(
    command: Command, model: Path, drawn: Path, tmp_path: Path, option: tuple[str, ...], words: str
) -> None:
    shown = command("predict", model, drawn, "--out", tmp_path / "out", "--ray", *option)
    assert shown.exit_code == 2
    assert shown.stderr.startswith(words)
    assert shown.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--workers", "--worker-cpus", "--worker-gpus"])
def test_options_of_workers_need_ray(
    command: Command, model: Path, drawn: Path, tmp_path: Path, option: str
) -> None:
    shown = command("predict", model, drawn, "--out", tmp_path / "out", option, 1)
    assert shown.exit_code == 2
    assert shown.stderr.startswith(f"{option}: given without --ray")
