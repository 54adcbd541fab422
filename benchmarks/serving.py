"""The server under load: `python benchmarks/serving.py [--seconds 120] [--model MODEL]`.

64 clients in a process of their own ask a server on loopback for masks of images of mixed sizes, as
fast as it answers, and compare every answer, byte for byte, with the file that `perpixel predict`
writes for that image. Printed are times of answers, images a second, the server's memory over time,
and its seconds of processor time for each image beside those of `perpixel predict` on the same
images, once both are warm.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from measure import report
from PIL import Image

COLUMNS = (
    *("clients", "images/s", "p50 ms", "p99 ms", "CPU s/image", "predict's", "ratio"),
    *("wrong", "not 200", "MiB warm", "MiB at the end"),
)
# Of CamVid's 480×360: as they are, smaller, larger, and odd.
SIZES = ((480, 360), (320, 240), (640, 480), (333, 217))
KINDS = ("png", "jpg")
WARM = 0.25  # of the seconds


@dataclass
class Load:
    """What the clients saw."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: int = 0


def write_images(data: Path, folder: Path, count: int) -> list[Path]:
    """Photographs of mixed sizes and formats."""
    from perpixel.data.layouts import open_dataset

    folder.mkdir()
    files = []
    pairs = open_dataset(data).split("val")[:count]
    for number, (pair, size) in enumerate(zip(pairs, itertools.cycle(SIZES), strict=False)):
        with Image.open(pair.image) as image:
            path = folder / f"{number:03}.{KINDS[number // len(SIZES) % len(KINDS)]}"
            image.convert("RGB").resize(size).save(path)
        files.append(path)
    return files


def predict(options: argparse.Namespace) -> None:
    """What the process of its own does: predict a folder, and say what one image took."""
    from perpixel.inference.folder import predict_folder
    from perpixel.inference.predictor import load

    model = load(options.model, "cpu", options.runtime, options.precision)
    out = Path(options.predict)
    files = sorted(Path(options.images).iterdir())
    predict_folder(model, files, out)
    seconds = []
    for _ in range(options.rounds):
        start = time.process_time()
        predict_folder(model, files, out)
        seconds.append((time.process_time() - start) / len(files))
    print(json.dumps({"seconds": statistics.median(seconds), "by": str(model.choice)}))


async def ask(address: tuple[str, int], load: Load, turns: Any, end: float) -> None:
    """One client: image after image over one connection."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        while time.perf_counter() < end:
            body, expected = next(turns)
            start = time.perf_counter()
            writer.write(
                b"POST /v1/segment HTTP/1.1\r\nHost: a\r\nAccept: image/png\r\n"
                b"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            writer.write(body)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            length = next(
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            content = await reader.readexactly(length)
            load.seconds.append(time.perf_counter() - start)
            load.statuses[status] += 1
            load.wrong += status == 200 and content != expected
    finally:
        writer.close()


async def ask_all(port: int, pairs: list[tuple[bytes, bytes]], clients: int, end: float) -> Load:
    """All clients at once; every image has its turn as often as any other."""
    load = Load()
    order = random.Random(0)

    def shuffled() -> Any:
        while True:
            yield from order.sample(pairs, len(pairs))

    turns = shuffled()
    await asyncio.gather(
        *(ask(("127.0.0.1", port), load, turns, end) for _ in range(clients)),
    )
    return load


def clients(options: argparse.Namespace) -> None:
    """What the clients' process does."""
    masks = Path(options.masks)
    pairs = [
        (file.read_bytes(), (masks / f"{file.stem}.png").read_bytes())
        for file in sorted(Path(options.images).iterdir())
    ]
    server = psutil.Process(options.server)
    memory: list[int] = []
    used: list[tuple[float, int]] = []

    async def watched() -> Load:
        end = time.perf_counter() + options.seconds
        begun = time.perf_counter()
        asking = asyncio.create_task(ask_all(options.port, pairs, options.clients, end))
        loads = asking
        while not asking.done():
            await asyncio.sleep(0.5)
            memory.append(server.memory_info().rss)
            if not used and time.perf_counter() - begun > WARM * options.seconds:
                times = server.cpu_times()
                used.append((times.user + times.system, answered(options.port)))
        return await loads

    load = asyncio.run(watched())
    times = server.cpu_times()
    images = answered(options.port) - used[0][1]
    seconds = sorted(load.seconds)
    own = resource.getrusage(resource.RUSAGE_SELF)
    warm = memory[int(WARM * len(memory))]
    print(
        json.dumps(
            {
                "clients": options.clients,
                "answers": len(seconds),
                "images/s": len(seconds) / options.seconds,
                "p50 ms": 1e3 * seconds[len(seconds) // 2],
                "p99 ms": 1e3 * seconds[int(0.99 * len(seconds))],
                "CPU s/image": (times.user + times.system - used[0][0]) / images,
                "wrong": load.wrong,
                "not 200": sum(n for status, n in load.statuses.items() if status != 200),
                "statuses": dict(load.statuses),
                "MiB warm": warm >> 20,
                "MiB at the end": memory[-1] >> 20,
                "MiB over time": [one >> 20 for one in memory],
                "clients' CPU s/image": (own.ru_utime + own.ru_stime) / len(seconds),
            }
        )
    )


def answered(port: int) -> int:
    """How many images the server says that it has segmented."""
    from urllib.request import ProxyHandler, build_opener

    with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}/metrics") as response:
        lines = response.read().decode().splitlines()
    wanted = 'perpixel_requests_total{path="/v1/segment",status="200"}'
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(wanted))


def said(line: list[str]) -> dict[str, Any]:
    """What this script, with these arguments and in a process of its own, prints last."""
    done = subprocess.run([sys.executable, __file__, *line], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--model", help="a model file; else a light FCN of random weights")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--count", type=int, default=40, help="different images")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--predict", help=argparse.SUPPRESS)
    for name in ("--images", "--masks"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    for name in ("--port", "--server"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.predict:
        return predict(options)
    if options.server:
        return clients(options)
    data = Path(os.environ.get("PERPIXEL_DATA", options.data)) / "camvid"
    if not (data / "classes.yaml").is_file():
        print(f"serving: skipped, no CamVid data set in {data}: set PERPIXEL_DATA to its parent")
        return None
    for name in ("PERPIXEL_RUNTIME", "PERPIXEL_PRECISION"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder)
        os.environ["PERPIXEL_CACHE"] = str(temporary / "cache")
        if options.model is None:
            from folder import write_model

            options.model = str(temporary / "model.safetensors")
            write_model(data, Path(options.model))
        write_images(data, temporary / "images", options.count)
        shared = [
            *("--model", options.model, "--images", str(temporary / "images")),
            *("--runtime", options.runtime, "--precision", options.precision),
        ]
        masks = str(temporary / "masks")
        alone = said([*shared, "--predict", masks, "--rounds", str(options.rounds)])
        command = "from perpixel.cli.app import main; main()"
        line = ["serve", options.model, "--no-page", "--port", "0"]
        line += ["--runtime", options.runtime, "--precision", options.precision]
        server = subprocess.Popen(
            [sys.executable, "-c", command, *line], stdout=subprocess.PIPE, text=True
        )
        try:
            by, address = server.stdout.readline(), server.stdout.readline()
            port = address.split("127.0.0.1:")[1].split(",")[0]
            row = said(
                [
                    *shared,
                    *("--masks", masks, "--port", port, "--server", str(server.pid)),
                    *("--seconds", str(options.seconds), "--clients", str(options.clients)),
                ]
            )
        finally:
            server.terminate()
            status = server.wait(60)
        row |= {
            "predict's": alone["seconds"],
            "ratio": row["CPU s/image"] / alone["seconds"],
            "server": by.strip(),
            "predict": alone["by"],
            "exit status": status,
            "seconds": options.seconds,
        }
        report("serving-cpu", [row], COLUMNS)
    return None


if __name__ == "__main__":
    main()
