#!/usr/bin/env python3
"""Times `shardmill tokenize` beside the tools that corpora are prepared with, and prints a Markdown table.

Every figure is a whole process, from its start until all ids are in files. Ids are compared before a time
counts. See README.md.
"""

import argparse
import gzip
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy

import corpora
import pipeline_peer
from scaling import RECORD_CHARACTERS

MB = 1_000_000
ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ["beside", "tokenizer", "shardmill, s", "the other, s", "ratio of best", "of medians"]


def fail(message: str) -> None:
    print(f"pipelines.py: {message}", file=sys.stderr)
    sys.exit(2)


@dataclass
class Row:
    """shardmill beside one tool, with the tokenizer of that tool."""

    peer: str
    tokenizer: str
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def cells(self) -> list[str]:
        best, median = min, statistics.median
        return [
            self.peer,
            self.tokenizer,
            *(f"{best(side):.3f} ({median(side):.3f})" for side in (self.ours, self.theirs)),
            f"{best(self.theirs) / best(self.ours):.0f}",
            f"{median(self.theirs) / median(self.ours):.0f}",
        ]


def records(text: Path, source: Path, n_bytes: int, n_files: int) -> int:
    """Fills the directory `source` with about `n_bytes` of records, an equal part in each file;
    returns the number of bytes."""
    source.mkdir()
    body = text.read_text(encoding="utf-8")
    lines, total = [], 0
    for at in range(0, len(body), RECORD_CHARACTERS):
        if total >= n_bytes:
            break
        lines.append(json.dumps({"text": body[at : at + RECORD_CHARACTERS]}) + "\n")
        total += len(lines[-1])
    for i in range(n_files):
        part = lines[len(lines) * i // n_files : len(lines) * (i + 1) // n_files]
        (source / f"{i:02}.jsonl").write_text("".join(part), encoding="utf-8")
    return total


def timed(command: list[str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        fail(f"failed: {' '.join(command)}\n{done.stderr}")
    return seconds


def digest(arrays) -> str:
    found = hashlib.sha256()
    for ids in arrays:
        found.update(ids.tobytes())
    return found.hexdigest()


def measure(args: argparse.Namespace, row: Row, source: Path, names: tuple[str, str], work: Path) -> None:
    """`names` are the tokenizer's for shardmill and for the peer."""
    ours, theirs = names
    expected = None
    for _ in range(args.repetitions):
        out = work / "out"
        row.ours.append(
            timed([
                str(args.binary), "tokenize", str(source), "--tokenizer", ours,
                "--special", "encode" if ours.endswith(".json") else "text",
                "--token-dtype", "u16", "--out", str(out),
            ])
        )  # fmt: skip
        if expected is None:
            expected = digest(numpy.fromfile(file, "<u2") for file in sorted(out.glob("*.u16")))
        shutil.rmtree(out)
        out.mkdir()
        script = [sys.executable, str(Path(pipeline_peer.__file__)), row.peer, str(source), theirs]
        row.theirs.append(timed([*script, str(out)]))
        if digest(pipeline_peer.PEERS[row.peer][1](out)) != expected:
            fail(f"{row.peer}: other ids than shardmill")
        shutil.rmtree(out)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare with the tools that corpora are prepared with.")
    parser.add_argument("corpora", type=Path, help="directory that corpora.py filled")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/dist/shardmill", metavar="FILE")
    parser.add_argument("--peers", nargs="+", default=list(pipeline_peer.PEERS), metavar="NAME")
    parser.add_argument("--text", default="english", metavar="NAME")
    parser.add_argument("--size", type=int, default=30, metavar="MB", help="how much JSON Lines")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("/dev/shm"), help="a file system in memory")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples")
    args = parser.parse_args()
    if not args.binary.is_file():
        fail(f"no program {args.binary}: run `cargo build --profile dist` first")
    text = args.corpora / f"{args.text}.txt"
    if not text.is_file():
        fail(f"no {text}: run corpora.py first")

    cpus = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    rows = []
    with tempfile.TemporaryDirectory(prefix="pipelines-", dir=args.work) as directory:
        work = Path(directory)
        source = work / "records"
        n_bytes = records(text, source, args.size * MB, cpus)
        packed = ROOT / "fixtures/tokenizers/gpt_neox_20b.json.gz"
        neox = work / "gpt_neox_20b.json"
        neox.write_bytes(gzip.decompress(packed.read_bytes()))
        found = sorted(corpora.cargo_sources().glob("tiktoken-rs-0.12*/assets/r50k_base.tiktoken"))
        if not found:
            fail("no sources of tiktoken-rs: run `cargo fetch` first")
        print(f"{platform.machine()}, {cpus} CPUs, load {load:.1f}; {n_bytes / MB:.1f} MB of JSON Lines\n")
        print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS), flush=True)
        for peer in args.peers:
            names = ("gpt2", str(found[0])) if peer.startswith("nano") else (str(neox), str(neox))
            rows.append(Row(peer, Path(names[0]).stem))
            measure(args, rows[-1], source, names, work)
            print("| " + " | ".join(rows[-1].cells()) + " |", flush=True)
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
