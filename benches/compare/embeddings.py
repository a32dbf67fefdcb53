#!/usr/bin/env python3
"""Times shardmill's gather beside PyTorch's embedding layers, and prints a Markdown table.

Both sides have the same ids and tables, in memory, on the CPU. Sums are compared bit for bit before
a time counts. See README.md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
TEXT = ROOT / "fixtures/text/tinyshakespeare.txt"
SEQ_LEN = 1024
OUT_BYTES = 128 << 20  # of f32
N_VOCAB = 50257
# Columns and rows of the token table.
CELLS = [(256, N_VOCAB), (768, N_VOCAB), (4096, N_VOCAB), (12288, N_VOCAB), (768, 200_000)]
# Ours, theirs, the ratio to reach.
RATIOS = [
    ("f32", "fresh f32", 20.0),
    ("f16", "fresh .half()", 28.0),
    ("f32", "reused f32", 2.5),
    ("f16", "reused f16", 4.0),
]


def fail(message: str) -> None:
    print(f"embeddings.py: {message}", file=sys.stderr)
    sys.exit(2)


def tokens(program: Path, place: Path) -> np.ndarray:
    """GPT-2's ids of a text."""
    out = place / "tokens"
    command = [program, "tokenize", TEXT, "--out", out, "--durability", "none"]
    subprocess.run(command, check=True, capture_output=True)
    return np.fromfile(out / "shard-00000.u32", "<u4")


class Cell:
    """Tables and ids of one line, and everything that is timed on them."""

    def __init__(self, place: Path, ids: np.ndarray, dim: int, rows: int) -> None:
        self.place, self.dim, self.rows = place, dim, rows
        batch = OUT_BYTES // 4 // dim // SEQ_LEN
        count = batch * SEQ_LEN
        ids = np.resize(ids, count).astype("<u8") * max(1, rows // N_VOCAB)
        self.count = count
        ids.astype("<u4").tofile(place / "ids.u32")
        rng = np.random.default_rng(dim + rows)
        self.tables = {}
        for name, n in (("wte", rows), ("wpe", SEQ_LEN)):
            table = rng.standard_normal((n, dim), dtype=np.float32)
            np.save(place / f"{name}.npy", table)
            self.tables[name] = torch.from_numpy(table)
        self.token = torch.nn.Embedding.from_pretrained(self.tables["wte"])
        self.position = torch.nn.Embedding.from_pretrained(self.tables["wpe"])
        self.ids = torch.from_numpy(ids.astype("<i8")).view(batch, SEQ_LEN)
        self.places = torch.arange(SEQ_LEN)
        self.sum = torch.empty(count, dim)
        self.half = torch.empty(count, dim, dtype=torch.half)
        self.reused_f16()  # touches both

    def fresh_f32(self) -> torch.Tensor:
        return self.token(self.ids) + self.position(self.places)

    def fresh_f16(self) -> torch.Tensor:
        return self.fresh_f32().half()

    def reused_f32(self) -> torch.Tensor:
        torch.index_select(self.tables["wte"], 0, self.ids.view(-1), out=self.sum)
        return self.sum.view(*self.ids.shape, self.dim).add_(self.tables["wpe"])

    def reused_f16(self) -> torch.Tensor:
        return self.half.copy_(self.reused_f32().view(self.count, self.dim))

    def theirs(self) -> dict[str, Callable[[], torch.Tensor]]:
        return {
            "fresh f32": self.fresh_f32,
            "fresh .half()": self.fresh_f16,
            "reused f32": self.reused_f32,
            "reused f16": self.reused_f16,
        }

    def ours(self, program: Path, dtype: str, threads: int, repetitions: int) -> list[float]:
        names = [self.place / name for name in ("wte.npy", "wpe.npy", "ids.u32")]
        settings = [str(SEQ_LEN), dtype, str(threads), str(repetitions), self.place / "out"]
        done = subprocess.run([program, *names, *settings], check=True, capture_output=True)
        return json.loads(done.stdout)["seconds"]

    def is_equal(self, dtype: str) -> bool:
        """Whether our last output has the bits of PyTorch's."""
        expected = self.fresh_f32() if dtype == "f32" else self.fresh_f16()
        found = np.fromfile(self.place / "out", "<u4" if dtype == "f32" else "<u2")
        return bool(np.array_equal(found, expected.numpy().view(found.dtype).ravel()))


def measure(cell: Cell, example: Path, threads: int, rounds: int) -> dict[str, list[float]]:
    torch.set_num_threads(threads)
    seconds: dict[str, list[float]] = {}
    for round_ in range(rounds):
        for dtype in ("f32", "f16"):
            seconds.setdefault(dtype, []).extend(cell.ours(example, dtype, threads, 3))
            if round_ == 0 and not cell.is_equal(dtype):
                print(f"dim {cell.dim}, {dtype}: sums differ from PyTorch's", file=sys.stderr)
                sys.exit(1)
        for name, once in cell.theirs().items():
            if round_ == 0:
                once()
            started = time.perf_counter()
            result = once()
            seconds.setdefault(name, []).append(time.perf_counter() - started)
            del result
    return seconds


def header(commit: str) -> str:
    cpu = next(
        (line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if "model name" in line),
        platform.machine(),
    )
    load = os.getloadavg()[0]
    return (
        f"{cpu}, {os.cpu_count()} CPUs, load {load:.1f}; commit {commit}; "
        f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", default="1,2", help="numbers of threads [1,2]")
    parser.add_argument("--dims", help="only these dims, separated by commas")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every cell [5]")
    parser.add_argument("--json", type=Path, help="file for all times")
    parser.add_argument("--dir", type=Path, help="where tables are written, up to 2.5 GB")
    args = parser.parse_args()
    built = ROOT / "target/dist"
    program, example = built / "shardmill", built / "examples/gather"
    for needed in (program, example):
        if not needed.exists():
            fail(f"no {needed}; run cargo build --profile dist --bins --examples")
    git = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True)
    dims = [int(dim) for dim in args.dims.split(",")] if args.dims else None
    results = []
    print(header(git.stdout.decode().strip()))
    print("\nTimes of PyTorch over those of shardmill: by the medians, by the best. ms of shardmill.\n")
    titles = [f"{theirs} / {ours} (goal {goal:g})" for ours, theirs, goal in RATIOS]
    print("| dim | rows | threads | f32 ms | f16 ms | " + " | ".join(titles) + " |")
    print("| --- " * (5 + len(RATIOS)) + "|")
    with torch.inference_mode(), tempfile.TemporaryDirectory(dir=args.dir) as temporary:
        place = Path(temporary)
        ids = tokens(program, place)
        for dim, rows in CELLS:
            if dims and dim not in dims:
                continue
            cell = Cell(place, ids, dim, rows)
            for threads in map(int, args.threads.split(",")):
                seconds = measure(cell, example, threads, args.rounds)
                results.append({"dim": dim, "rows": rows, "threads": threads, "seconds": seconds})
                print(line(dim, rows, threads, seconds), flush=True)
            del cell
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


def line(dim: int, rows: int, threads: int, seconds: dict[str, list[float]]) -> str:
    cells = [str(dim), str(rows), str(threads)]
    cells += [f"{1000 * statistics.median(seconds[dtype]):.1f}" for dtype in ("f32", "f16")]
    for ours, theirs, goal in RATIOS:
        by_median = statistics.median(seconds[theirs]) / statistics.median(seconds[ours])
        by_best = min(seconds[theirs]) / min(seconds[ours])
        mark = "" if by_median >= goal else " **below**"
        cells.append(f"{by_median:.1f}, {by_best:.1f}{mark}")
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
