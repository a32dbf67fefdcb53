#!/usr/bin/env python3
"""Compares the ways to split text, and tokenizers from files, with the built-in encodings.

The ranks of each encoding are read from their file, with each split pattern that has a scanner of
its own, and with a spelling of the encoding's pattern that has none, for the general scanner. Rates
are of CPU time on one thread, without start-up. See README.md.
"""

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import compare
import corpora
import peer

SMALL = 20_000
# By encoding: the names of patterns, that of its own first.
FAMILIES = {
    "gpt2": ["r50k"],
    "cl100k_base": ["cl100k", "llama3", "qwen2"],
    "o200k_base": ["o200k", "tekken", "kimi"],
}


def fail(message: str) -> None:
    print(f"families.py: {message}", file=sys.stderr)
    sys.exit(2)


class Way(NamedTuple):
    """A tokenizer, with a pattern if it is a file of ranks."""

    tokenizer: str
    pattern: str = ""

    def options(self) -> list[str]:
        return ["--pattern", self.pattern] if self.pattern else []


@dataclass
class Row:
    """CPU seconds of whole runs over a corpus, and over almost nothing."""

    tokenizer: str
    splitter: str
    beside: str
    corpus: str
    n_bytes: int
    digest: str = ""
    seconds: list[float] = field(default_factory=list)
    start_up: list[float] = field(default_factory=list)

    def rate(self, of) -> float:
        return (self.n_bytes - SMALL) / compare.MB / (of(self.seconds) - of(self.start_up))

    def cells(self, base: "Row") -> list[str]:
        rates = [f"{row.rate(min):.0f} ({row.rate(statistics.median):.0f})" for row in (self, base)]
        ratios = [self.rate(of) / base.rate(of) for of in (min, statistics.median)]
        name = Path(self.tokenizer).stem
        return [name, self.splitter, self.corpus, *rates, self.beside, "{:.2f} ({:.2f})".format(*ratios)]


class Bench:
    """The binary, the inputs, and a scratch directory."""

    def __init__(self, args: argparse.Namespace, scratch: Path) -> None:
        self.args, self.scratch = args, scratch
        self.out = scratch / "out"
        self.small = scratch / "small.txt"
        with (args.corpora / f"{args.texts[0]}.txt").open("rb") as source:
            self.small.write_bytes(source.read(SMALL).decode("utf-8", errors="ignore").encode())

    def run(self, way: Way, *command: str | Path) -> tuple[float, str]:
        """CPU seconds of a command, and what it prints."""
        command = (self.args.binary, *command)
        # A directory keeps only so many compiled tokenizers.
        env = os.environ | {"XDG_CACHE_HOME": str(self.scratch / f"cache-{hash(way)}")}
        with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as problem:
            child = subprocess.Popen(command, env=env, stdout=printed, stderr=problem)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            printed.seek(0)
            problem.seek(0)
            if child.returncode:
                fail(f"{shlex.join(map(str, command))}: {problem.read().decode().strip()}")
            return usage.ru_utime + usage.ru_stime, printed.read().decode()

    def seconds(self, way: Way, file: Path) -> float:
        """CPU seconds of a run. The dataset remains until the next one."""
        shutil.rmtree(self.out, ignore_errors=True)
        command = ["tokenize", file, "--out", self.out, "--tokenizer", way.tokenizer, *way.options()]
        command += ["--input-format", "text", "--eot", "none", "--special", "text", "--threads", "1"]
        return self.run(way, *command)[0]

    def splitter(self, way: Way) -> str:
        """What splits text."""
        described = self.run(way, "tokenizer", way.tokenizer, *way.options(), "--json")[1]
        return json.loads(described)["splitter"]


def ways(assets: Path, files: list[Path]) -> list[Way]:
    """The encodings first."""
    found = [Way(name) for name in FAMILIES]
    for name, patterns in FAMILIES.items():
        vocabulary = peer.VOCABULARIES[name]
        ranks = str(assets / vocabulary.file)
        # The same in another order.
        other = vocabulary.pattern.replace("[sdmt]|ll", "ll|[sdmt]").replace("'s|'t", "'t|'s")
        found += [Way(ranks, pattern) for pattern in [*patterns, other]]
    return found + [Way(str(path)) for path in files]


def beside(way: Way, splitter: str) -> str:
    """The encoding that a tokenizer is compared with."""
    for name, patterns in FAMILIES.items():
        if way.tokenizer == name or Path(way.tokenizer).name == peer.VOCABULARIES[name].file:
            return name
        if not way.pattern and splitter in patterns:
            return name
    return "cl100k_base"


def measure(bench: Bench) -> list[Row]:
    args = bench.args
    all_ways = ways(args.assets, args.tokenizers)
    splitters = [bench.splitter(way) for way in all_ways]
    rows = []
    for corpus in args.texts:
        file = args.corpora / f"{corpus}.txt"
        made = [
            Row(way.tokenizer, splitter, beside(way, splitter), corpus, file.stat().st_size)
            for way, splitter in zip(all_ways, splitters)
        ]
        for repetition in range(args.repetitions + 1):
            for way, row in zip(all_ways, made):
                start_up = bench.seconds(way, bench.small)
                seconds = bench.seconds(way, file)
                if repetition == 0:  # compiles a tokenizer's file
                    row.digest = compare.dataset_ids(bench.out)[1]
                else:
                    row.start_up.append(start_up)
                    row.seconds.append(seconds)
        rows += made
        compare_ids(made)
    return rows


def compare_ids(rows: list[Row]) -> None:
    """Ranks with the pattern of their encoding have its ids, whatever splits."""
    encodings = {row.tokenizer: row for row in rows if row.tokenizer in FAMILIES}
    for row in rows:
        is_own = row.splitter in ("general", FAMILIES[row.beside][0])
        if row.tokenizer.endswith(".tiktoken") and is_own and row.digest != encodings[row.beside].digest:
            fail(f"{row.tokenizer}, {row.splitter}: the ids of {row.corpus} are not those of {row.beside}")


def report(rows: list[Row]) -> None:
    print("\nMB/s of CPU time on one thread, without start-up: best (median).\n")
    encodings = {(row.tokenizer, row.corpus): row for row in rows if row.tokenizer in FAMILIES}
    head = ["tokenizer", "split by", "corpus", "MB/s", "encoding, MB/s", "encoding", "ratio"]
    cells = [row.cells(encodings[row.beside, row.corpus]) for row in rows if row.tokenizer not in FAMILIES]
    compare.table(head, cells)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare tokenizers from files with built-in encodings.")
    parser.add_argument("corpora", type=Path, help="directory that corpora.py filled")
    parser.add_argument("--binary", type=Path, default=compare.ROOT / "target/dist/shardmill", metavar="FILE")
    parser.add_argument(
        "--tokenizers", nargs="+", type=Path, default=[], metavar="FILE", help="tokenizer files"
    )
    parser.add_argument("--texts", nargs="+", choices=corpora.CORPORA, default=["english", "multi"])
    parser.add_argument("--repetitions", type=int, default=7, metavar="N")
    parser.add_argument("--assets", type=Path, metavar="DIR", help="as for compare.py")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"), metavar="DIR", help="on tmpfs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    args = parser.parse_args()
    if not os.access(args.binary, os.X_OK):
        parser.error(f"no program {args.binary}: run `cargo build --profile dist` first")
    args.binary = args.binary.resolve()
    args.assets = args.assets or compare.found_assets()
    return args


def main() -> None:
    args = options()
    header = compare.facts(argparse.Namespace(**vars(args), peers=[], encodings=[], disk=None))
    header["command"] = shlex.join(["benches/compare/families.py", *sys.argv[1:]])
    for name, value in header.items():
        print(f"- {name}: {value}", flush=True)
    with tempfile.TemporaryDirectory(prefix="shardmill-families-", dir=args.scratch) as scratch:
        rows = measure(Bench(args, Path(scratch)))
    report(rows)
    if args.json:
        result = {"header": header, "rows": [asdict(row) for row in rows]}
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
