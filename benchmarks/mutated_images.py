"""Damaged and hostile images: `python benchmarks/mutated_images.py [--images 10000]`.

A server in a process of its own gets images that were cut off, whose bits were flipped, whose
headers claim pictures that fill the memory, that are of other types or of several at once, of 16
bits, CMYK, animated. Each is to be answered with 200 or a 4xx and a message; the process is to live
on, with as much memory as before.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from mutations import mutated, seeds

COLUMNS = ("images", "answers", "wrong answers", "MiB warm", "MiB at the end")
CLIENTS = 8
WARM = 0.3  # of the images


def ask(connection: http.client.HTTPConnection, body: bytes, accept: str) -> tuple[int, str]:
    """The status of an answer, and what is wrong with it, if anything."""
    try:
        connection.request("POST", "/v1/segment", body, {"Accept": accept})
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return 0, f"no answer ({error!r})"
    if response.status == 200:
        return 200, "" if content else "an empty answer"
    if not 400 <= response.status < 500:
        return response.status, "neither 200 nor a 4xx"
    said = json.loads(content)
    about_us = any(part in said["message"] for part in ("Traceback", ".py", " /"))
    return response.status, "" if said["message"] and not about_us else f"says {said['message']}"


def main() -> None:
    """Send them."""
    from measure import report

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--model", help="a model file; else a small one of random weights")
    options = parser.parse_args()
    originals = seeds()
    os.environ |= {"PERPIXEL_RUNTIME": "torch", "PERPIXEL_PRECISION": "fp32"}
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or str(write_model(Path(folder) / "model.safetensors"))
        command = "from perpixel.cli.app import main; main()"
        line = ["serve", model, "--no-page", "--port", "0", "--max-pixels", "4000000"]
        server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", command, *line],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert server.stdout is not None
            server.stdout.readline()
            port = int(server.stdout.readline().split("127.0.0.1:")[1].split(",")[0])
            process, memory = psutil.Process(server.pid), list[int]()
            wrong: list[str] = []
            statuses: Counter[int] = Counter()

            def send(numbers: range) -> None:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                for number in numbers:
                    name, body = mutated(number, originals)
                    accept = ("image/png", "application/json", "image/png;view=overlay")[number % 3]
                    status, fault = ask(connection, body, accept)
                    statuses[status] += 1
                    if fault:
                        wrong.append(f"{name}: {status} {fault}")
                    if number % 50 == 0:
                        memory.append(process.memory_info().rss >> 20)
                connection.close()

            with ThreadPoolExecutor(CLIENTS) as pool:
                shares = [range(one, options.images, CLIENTS) for one in range(CLIENTS)]
                list(pool.map(send, shares))
            alive = server.poll() is None
        finally:
            server.terminate()
            server.wait(60)
    for fault in wrong[:20]:
        print(fault)
    row = {
        "images": options.images,
        "answers": ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items())),
        "wrong answers": len(wrong),
        "MiB warm": memory[int(WARM * len(memory))],
        "MiB at the end": memory[-1],
        "MiB over time": memory[:: max(1, len(memory) // 50)],
        "alive": alive,
    }
    report("mutated-images", [row], COLUMNS)
    if wrong or not alive:
        raise SystemExit(1)


def write_model(path: Path) -> Path:
    """A small network of random weights."""
    import torch

    from perpixel.checkpoint import Checkpoint, write_checkpoint
    from perpixel.labels import LabelSpace
    from perpixel.networks import build, network_config
    from perpixel.preprocessing import Preprocessing

    torch.manual_seed(0)
    options = {"name": "fcn8s", "backbone": "test_resnet", "classes": 5, "head_channels": 8}
    config = network_config(options)
    labels = LabelSpace.of([f"class {index}" for index in range(5)])
    write_checkpoint(path, Checkpoint(config, labels, Preprocessing(), build(config).state_dict()))
    return path


if __name__ == "__main__":
    main()
