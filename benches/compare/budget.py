#!/usr/bin/env python3
"""Shows where the time of `shardmill tokenize` goes, and prints a Markdown table in milliseconds.

One thread makes a complete dataset on tmpfs. CPU time is measured without a profiler; `perf` then says
which share of it each part has, by the source file that a sample is in. See README.md.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERTZ = 4999

# A part of the work, and the source files that do it. The first that matches the innermost of the
# functions that were inlined into each other counts; vectors and the standard library belong to their
# callers.
PARTS = {
    "splitting": r"tokenizer/src/(pretoken|tokenizer/splitter)",
    "merging": r"tokenizer/src/bpe/(merge|sweep|tournament|pairs|parts|plain|chars?|character|stitch|ranked)",
    "other new": r"tokenizer/src/bpe/(misses|vocabulary|image|cache/forecast)",
    "look-up": r"tokenizer/src/(bpe|tokenizer)",
    "hashes": r"xxhash|src/hash",
}
OWN = re.compile(r"/crates/core/src/simd|/library/(core|alloc|std)/|/rustc/")

# What the kernel does, by one of the functions that called each other.
KERNEL = {
    "writing": r"vfs_write|vfs_writev|vfs_fallocate|fsync|rename|openat|ftruncate|unlink",
    "memory": r"exc_page_fault|do_madvise|sys_mmap|sys_munmap|sys_brk|mm_populate|exit_mmap",
}
COLUMNS = [*PARTS, *KERNEL, "rest"]
FRAME = re.compile(r"\s*([0-9a-f]+) (.*) \((.*)\)$")


def fail(message: str) -> None:
    print(f"budget.py: {message}", file=sys.stderr)
    sys.exit(2)


def command(binary: Path, corpus: Path, encoding: str, out: Path) -> list[str]:
    shutil.rmtree(out, ignore_errors=True)
    head = [str(binary), "tokenize", str(corpus), "--out", str(out), "--tokenizer", encoding]
    return [*head, "--threads", "1", "--eot", "none"]


def cpu_seconds(args: list[str]) -> float:
    quiet = [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(args[0], args, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(child, 0)
    if status:
        fail(f"{' '.join(args)} failed")
    return usage.ru_utime + usage.ru_stime


def samples(args: list[str], scratch: Path) -> list[list[tuple[int, str, str]]]:
    """The frames of each sample, the innermost first: address in its file, function, file."""
    data = scratch / "perf.data"
    record = ["perf", "record", "-q", "-g", "-e", "cpu-clock", "-F", str(HERTZ), "-o", data, *args]
    done = subprocess.run(record, capture_output=True, text=True, check=False)
    if done.returncode:
        fail(f"perf: {done.stderr.strip()}")
    script = ["perf", "script", "-i", data, "-F", "ip,sym,dso"]
    text = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    found = []
    for block in text.split("\n\n"):
        frames = [FRAME.match(line) for line in block.splitlines()]
        frames = [(int(frame[1], 16), frame[2], frame[3]) for frame in frames if frame]
        if frames:
            found.append(frames)
    return found


def code_offset(binary: Path) -> int:
    """What must be added to a place in the file to get the address of its code."""
    headers = subprocess.run(["readelf", "-lW", binary], capture_output=True, text=True, check=True)
    for line in headers.stdout.splitlines():
        if line.strip().startswith("LOAD") and "R E" in line:
            _, offset, address, *_ = line.split()
            return int(address, 16) - int(offset, 16)
    return fail("the program has no code") or 0


def source_files(binary: Path, addresses: list[int]) -> dict[int, list[str]]:
    """The source files of the functions that were inlined at each address, the innermost first."""
    offset = code_offset(binary)
    lines = "".join(f"{address + offset:#x}\n" for address in addresses)
    tool = ["addr2line", "-a", "-i", "-e", binary]
    text = subprocess.run(tool, input=lines, capture_output=True, text=True, check=True).stdout
    files: dict[int, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("0x"):
            address = int(line, 16) - offset
            files[address] = []
        else:
            files[address].append(line)
    return files


def part_of_code(files: list[str]) -> str:
    for file in files:
        if OWN.search(file):
            continue
        for part, pattern in PARTS.items():
            if re.search(pattern, file):
                return part
    return "rest"


def shares(binary: Path, runs: list[list[list[tuple[int, str, str]]]]) -> Counter[str]:
    """How many samples of all runs are in each part."""
    own = str(binary.resolve())
    frames = [sample for run in runs for sample in run]
    addresses = Counter(sample[0][0] for sample in frames if sample[0][2] == own)
    files = source_files(binary, list(addresses))
    counts: Counter[str] = Counter()
    for sample in frames:
        address, _, file = sample[0]
        if file == own:
            counts[part_of_code(files[address])] += 1
        elif file.startswith("[kernel"):
            calls = " ".join(function for _, function, _ in sample)
            kind = (kind for kind, pattern in KERNEL.items() if re.search(pattern, calls))
            counts[next(kind, "rest")] += 1
        else:
            counts["rest"] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path, help="a directory with the texts, as corpora.py makes it")
    parser.add_argument("--encodings", nargs="+", default=["gpt2", "cl100k_base", "o200k_base"])
    parser.add_argument("--texts", nargs="+", default=["english", "markdown", "code", "multi"])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/shardmill")
    args = parser.parse_args()
    for tool in ("perf", "readelf", "addr2line"):
        if not shutil.which(tool):
            fail(f"no {tool}")
    print("| encoding | corpus | CPU, ms |", *(f" {column} |" for column in COLUMNS), sep="")
    print("|", " --- |" * (3 + len(COLUMNS)), sep="")
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="shardmill-budget-") as scratch:
        scratch = Path(scratch)
        for encoding in args.encodings:
            for text in args.texts:
                corpus = args.corpora / f"{text}.txt"
                again = range(args.repetitions)

                def run() -> list[str]:
                    return command(args.binary, corpus, encoding, scratch / "out")

                seconds = [cpu_seconds(run()) for _ in again]
                counts = shares(args.binary, [samples(run(), scratch) for _ in again])
                best = 1000 * min(seconds)
                cells = (f" {best * counts[part] / counts.total():.0f} |" for part in COLUMNS)
                spread = f"{best:.0f} ({1000 * statistics.median(seconds):.0f})"
                print(f"| {encoding} | {text} | {spread} |", *cells, sep="", flush=True)


if __name__ == "__main__":
    main()
