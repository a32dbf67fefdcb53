#!/usr/bin/env python3
"""Times `shardmill tokenize` over the same documents in each format, and prints a Markdown table.

What plain text takes is the base: the rest is the cost of the format, its decoder included. See README.md.
"""

import argparse
import csv
import json
import os
import platform
import shutil
import statistics
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow
import pyarrow.ipc
import pyarrow.parquet

from scaling import GROUP_ROWS, MB, ROOT, RECORD_CHARACTERS

# A frame of zstd and a block of BGZF have so much text, and a block begins so, up to its length.
FRAME_BYTES = 2_000_000
BLOCK_BYTES = 0xFF00
BLOCK_HEAD = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0"

COLUMNS = ["input", "stored, MB", "1 thread, MB/s", "of text's rate", "all threads, MB/s", "of text's rate"]


def fail(message: str) -> None:
    print(f"formats.py: {message}", file=sys.stderr)
    sys.exit(2)


def text(documents: list[str], path: Path) -> None:
    path.with_suffix(".txt").write_text("".join(documents), encoding="utf-8")


def json_lines(documents: list[str]) -> bytes:
    return "".join(json.dumps({"text": document}) + "\n" for document in documents).encode()


def compressed(codec: str | None) -> Callable[[list[str], Path], None]:
    """JSON Lines, as `codec` compresses them by default."""
    ending = {None: "jsonl", "gzip": "jsonl.gz", "zstd": "jsonl.zst"}[codec]

    def write(documents: list[str], path: Path) -> None:
        with pyarrow.output_stream(path.with_suffix(f".{ending}"), compression=codec) as file:
            file.write(json_lines(documents))

    return write


def frames(documents: list[str], path: Path) -> None:
    """JSON Lines in frames of zstd, as pzstd writes them."""
    lines = json_lines(documents)
    with path.with_suffix(".jsonl.zst").open("wb") as file:
        for start in range(0, len(lines), FRAME_BYTES):
            file.write(pyarrow.compress(lines[start : start + FRAME_BYTES], "zstd", asbytes=True))


def blocks(documents: list[str], path: Path) -> None:
    """JSON Lines in blocks, as bgzip writes them."""
    lines = json_lines(documents)
    with path.with_suffix(".jsonl.gz").open("wb") as file:
        for start in range(0, len(lines), BLOCK_BYTES):
            block = lines[start : start + BLOCK_BYTES]
            raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            deflated = raw.compress(block) + raw.flush()
            file.write(BLOCK_HEAD + struct.pack("<H", len(BLOCK_HEAD) + len(deflated) + 9) + deflated)
            file.write(struct.pack("<II", zlib.crc32(block), len(block)))


def comma_separated(documents: list[str], path: Path) -> None:
    with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text"])
        rows.writerows([document] for document in documents)


def parquet(codec: str) -> Callable[[list[str], Path], None]:
    def write(documents: list[str], path: Path) -> None:
        table = pyarrow.table({"text": documents})
        pyarrow.parquet.write_table(
            table, path.with_suffix(".parquet"), compression=codec, row_group_size=GROUP_ROWS
        )

    return write


def arrow(documents: list[str], path: Path) -> None:
    """As the library datasets writes it."""
    table = pyarrow.table({"text": documents})
    with pyarrow.ipc.new_stream(path.with_suffix(".arrow"), table.schema) as file:
        file.write_table(table, max_chunksize=GROUP_ROWS)


WRITERS = {
    "text": text,
    "JSON Lines": compressed(None),
    "JSON Lines, zstd": compressed("zstd"),
    "JSON Lines, frames of zstd": frames,
    "JSON Lines, gzip": compressed("gzip"),
    "JSON Lines, BGZF": blocks,
    "CSV": comma_separated,
    "Parquet": parquet("none"),
    "Parquet, snappy": parquet("snappy"),
    "Parquet, zstd": parquet("zstd"),
    "Arrow": arrow,
}


@dataclass
class Row:
    """One format in so many files, on one thread and on all."""

    kind: str
    source: Path
    n_files: int
    stored_bytes: int
    cpu_seconds: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    tokens: set[int] = field(default_factory=set)


def made(kind: str, documents: list[str], n_files: int, work: Path) -> Row:
    source = work / f"{len(list(work.iterdir())):02}"
    source.mkdir()
    for i in range(n_files):
        part = documents[len(documents) * i // n_files : len(documents) * (i + 1) // n_files]
        WRITERS[kind](part, source / f"{i:02}")
    return Row(kind, source, n_files, sum(file.stat().st_size for file in source.iterdir()))


def measure(binary: Path, row: Row, threads: int, out: Path) -> tuple[float, float]:
    """Wall time and CPU time of a run, in seconds."""
    run = [
        str(binary), "tokenize", str(row.source), "--out", str(out), "--tokenizer", "gpt2",
        "--threads", str(threads), "--eot", "none", "--text-field", "text",
    ]  # fmt: skip
    silence = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    start = time.perf_counter()
    _, status, usage = os.wait4(os.posix_spawn(run[0], run, os.environ, file_actions=silence), 0)
    seconds = time.perf_counter() - start
    if status != 0:
        fail(f"failed: {' '.join(run)}")
    row.tokens.add(json.loads((out / "manifest.json").read_text())["totals"]["tokens"])
    shutil.rmtree(out)
    return seconds, usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the formats of the same documents.")
    parser.add_argument("corpora", type=Path, help="directory that corpora.py filled")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/dist/shardmill", metavar="FILE")
    parser.add_argument("--text", default="english", metavar="NAME")
    parser.add_argument("--characters", type=int, default=RECORD_CHARACTERS, help="length of a document")
    parser.add_argument("--files", nargs="+", type=int, default=[1, 8], metavar="N", help="number of files")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--work", type=Path, default=Path("/dev/shm"), help="a file system in memory")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples")
    args = parser.parse_args()
    if min([args.characters, args.repetitions, *args.files]) < 1:
        parser.error("numbers must be at least 1")
    if not args.binary.is_file():
        fail(f"no program {args.binary}: run `cargo build --profile dist` first")
    path = args.corpora / f"{args.text}.txt"
    if not path.is_file():
        fail(f"no {path}: run corpora.py first")

    cpus = len(os.sched_getaffinity(0))
    body = path.read_text(encoding="utf-8")
    documents = [body[at : at + args.characters] for at in range(0, len(body), args.characters)]
    n_bytes = path.stat().st_size
    print(
        f"{platform.machine()}, {cpus} CPUs, load {os.getloadavg()[0]:.1f}; "
        f"{len(documents)} documents, {n_bytes / MB:.1f} MB of text; gpt2\n"
    )
    with tempfile.TemporaryDirectory(prefix="formats-", dir=args.work) as directory:
        work = Path(directory)
        rows = [made(kind, documents, n, work) for n in args.files for kind in WRITERS]
        for _ in range(args.repetitions):
            for row in rows:
                row.cpu_seconds.append(measure(args.binary, row, 1, work / "out")[1])
                row.seconds.append(measure(args.binary, row, cpus, work / "out")[0])
    # A text is one document for each file, and not cut where the documents are.
    found = {tuple(row.tokens) for row in rows if row.kind != "text"}
    if len(found) != 1:
        fail(f"the formats have different numbers of tokens: {found}")

    print("| " + " | ".join(["files", *COLUMNS]) + " |\n|" + " --- |" * (len(COLUMNS) + 1))
    for row in rows:
        base = next(base for base in rows if base.kind == "text" and base.n_files == row.n_files)
        cells = [str(row.n_files), row.kind, f"{row.stored_bytes / MB:.1f}"]
        for ours, text_s in [(row.cpu_seconds, base.cpu_seconds), (row.seconds, base.seconds)]:
            best, median = (n_bytes / MB / of(ours) for of in (min, statistics.median))
            cells += [f"{best:.0f} ({median:.0f})", f"{min(text_s) / min(ours):.2f}"]
        print("| " + " | ".join(cells) + " |")
    if args.json:
        samples = [asdict(row) for row in rows]
        for sample in samples:
            del sample["source"], sample["tokens"]
        args.json.write_text(json.dumps(samples, indent=1) + "\n")


if __name__ == "__main__":
    main()
