#!/usr/bin/env python3
"""Times `shardmill tokenize` beside other tokenizers, and prints Markdown tables.

Every figure of shardmill is a whole process, from its start to a complete dataset; every figure of
a peer is the encoding call alone, into memory. Ids are compared before a time counts. See README.md.
"""

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import corpora
import peer

MB = 1_000_000
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GOALS = {1: 2.0, 2: 3.0}  # the ratio to reach, by threads


def fail(message: str) -> None:
    print(f"compare.py: {message}", file=sys.stderr)
    sys.exit(2)


@dataclass
class Samples:
    """Wall times of one program on one cell."""

    n_bytes: int
    seconds: list[float] = field(default_factory=list)

    def best(self) -> float:
        return self.n_bytes / MB / min(self.seconds)

    def median(self) -> float:
        return self.n_bytes / MB / statistics.median(self.seconds)

    def __str__(self) -> str:
        return f"{self.best():.0f} ({self.median():.0f})"


@dataclass
class Row:
    """One line of a table: ours beside theirs, or why there are no times."""

    part: str
    encoding: str
    corpus: str
    threads: int
    ours: Samples
    theirs: Samples
    disk: Samples | None = None
    wrong: str = ""

    def ratios(self) -> tuple[float, float]:
        return self.ours.best() / self.theirs.best(), self.ours.median() / self.theirs.median()

    def below_goal(self) -> bool:
        return self.part not in peer.PEERS and self.ratios()[0] < GOALS.get(self.threads, 0)

    def cells(self) -> list[str]:
        head = [Path(self.encoding).stem, self.corpus, str(self.threads)]
        if self.wrong:
            return [*head, self.wrong, "", "", ""]
        best, median = self.ratios()
        mark = " **below**" if self.below_goal() else ""
        disk = [str(self.disk)] if self.disk else [""]
        return [*head, str(self.ours), str(self.theirs), f"{best:.2f} ({median:.2f}){mark}", *disk]


def found_assets() -> Path:
    """The vocabularies in the sources of the crate tiktoken-rs."""
    found = sorted(corpora.cargo_sources().glob("tiktoken-rs-0.12*/assets"))
    if not found:
        fail("no sources of tiktoken-rs: run `cargo fetch` first, or name `--assets`")
    return found[0]


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Limits this process, and those that it starts, to as many CPUs as there are threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Bench:
    """The binary, the vocabularies, and a scratch directory that holds inputs and outputs."""

    def __init__(self, args: argparse.Namespace, scratch: Path) -> None:
        self.args = args
        self.scratch = scratch
        self.assets = args.assets or found_assets()

    def shardmill(self, file: Path, encoding: str, threads: int, parent: Path) -> tuple[float, Path]:
        """Wall seconds of one run, and the dataset it made."""
        out = parent / "shardmill-out"
        shutil.rmtree(out, ignore_errors=True)
        command = [self.args.binary, "tokenize", file, "--out", out, "--tokenizer", encoding]
        command += ["--input-format", "text", "--eot", "none", "--threads", str(threads)]
        # gigatoken encodes the special tokens of a tokenizer.json.
        command += ["--special", "encode" if peer.is_file(encoding) else "text"]
        env = os.environ | {"XDG_CACHE_HOME": str(self.scratch)}
        with pinned(threads):
            start = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
            seconds = time.perf_counter() - start
        if done.returncode:
            fail(f"{shlex.join(map(str, command))}: {done.stderr.strip()}")
        return seconds, out

    def peer(self, name: str, file: Path, encoding: str, threads: int, passes: int) -> dict[str, Any]:
        """What peer.py measured, in its own process."""
        command = [sys.executable, HERE / "peer.py", name, encoding, self.assets, file]
        command += [str(threads), str(passes), self.scratch / "peer-out.u32"]
        env = os.environ | {"RAYON_NUM_THREADS": str(threads)}
        with pinned(threads):
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        if done.returncode:
            fail(f"{name} failed on {file.name}: {done.stderr.strip().splitlines()[-1:]}")
        return json.loads(done.stdout)

    def copies(self, corpus: str, times: int) -> Path:
        """The corpus `times` times in one file; only one such file is kept."""
        path = self.scratch / f"{corpus}-{times}.txt"
        if not path.exists():
            for old in self.scratch.glob(f"*-{times}.txt"):
                old.unlink()
            data = self.corpus(corpus).read_bytes()
            with path.open("wb") as out:
                for _ in range(times):
                    out.write(data)
        return path

    def corpus(self, name: str) -> Path:
        return self.args.corpora / f"{name}.txt"


def dataset_ids(directory: Path) -> tuple[int, str]:
    """Number and SHA-256 of all ids of a dataset, in order."""
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256()
    n_tokens = 0
    for shard in manifest["shards"]:
        digest.update((directory / shard["file"]).read_bytes())
        n_tokens += shard["tokens"]
    return n_tokens, digest.hexdigest()


def disagreement(out: Path, theirs: dict[str, Any]) -> str:
    if refusal := theirs.get("refused"):
        return f"refused: {refusal}"
    n_tokens, digest = dataset_ids(out)
    if n_tokens != theirs["tokens"]:
        return f"WRONG: {n_tokens} tokens, peer {theirs['tokens']}"
    return "" if digest == theirs["sha256"] else f"WRONG: {n_tokens} ids differ"


def against_gigatoken(bench: Bench, encoding: str, corpus: str, threads: int) -> list[Row]:
    """The first pass over a corpus, and what each further pass adds."""
    args = bench.args
    file = bench.corpus(corpus)
    n_bytes = file.stat().st_size
    cold = Row("first", encoding, corpus, threads, Samples(n_bytes), Samples(n_bytes))
    cold.disk = Samples(n_bytes) if args.disk else None
    same = Row("written", encoding, corpus, threads, Samples(n_bytes), Samples(n_bytes))
    warm = Row("further", encoding, corpus, threads, Samples(n_bytes), Samples(n_bytes))
    passes = 4 if args.long > 1 else 1
    once, often = [], []
    bench.shardmill(file, encoding, threads, bench.scratch)  # compiles a tokenizer's file
    for repetition in range(args.repetitions):
        theirs = bench.peer("gigatoken", file, encoding, threads, passes)
        seconds, out = bench.shardmill(file, encoding, threads, bench.scratch)
        if repetition == 0:
            cold.wrong = warm.wrong = disagreement(out, theirs)
            if cold.wrong:
                return [cold]
        once.append(seconds)
        cold.theirs.seconds.append(theirs["seconds"][0])
        same.theirs.seconds.append(theirs["seconds"][0] + theirs["write_seconds"])
        warm.theirs.seconds += theirs["seconds"][1:]
        if args.disk:
            seconds, _ = bench.shardmill(file, encoding, threads, args.disk)
            cold.disk.seconds.append(seconds)
        if args.long > 1:
            seconds, _ = bench.shardmill(bench.copies(corpus, args.long), encoding, threads, bench.scratch)
            often.append(seconds)
    cold.ours.seconds = same.ours.seconds = once
    if args.long == 1:
        return [cold, same]
    # Subtract runs that followed each other; the two best runs may be from different moments.
    warm.ours.seconds = [(long - short) / (args.long - 1) for short, long in zip(once, often, strict=True)]
    if min(warm.ours.seconds) <= 0:
        warm.wrong = "too noisy: the long input took no longer"
    return [cold, same, warm]


def against_one_text(bench: Bench, name: str, encoding: str, corpus: str) -> list[Row]:
    """A peer that takes a text in memory, on one thread: with a tokenizer's file all of a corpus, else
    its start."""
    file = bench.corpus(corpus)
    if not peer.is_file(encoding):
        file = bench.scratch / "floor.txt"
        with bench.corpus(corpus).open("rb") as source:
            file.write_bytes(source.read(10 * MB).decode("utf-8", errors="ignore").encode())
    n_bytes = file.stat().st_size
    bench.shardmill(file, encoding, 1, bench.scratch)  # compiles a tokenizer's file
    row = Row(name, encoding, corpus, 1, Samples(n_bytes), Samples(n_bytes))
    for repetition in range(bench.args.repetitions):
        theirs = bench.peer(name, file, encoding, 1, 1)
        seconds, out = bench.shardmill(file, encoding, 1, bench.scratch)
        if repetition == 0 and (wrong := disagreement(out, theirs)):
            row.wrong = wrong
            break
        row.ours.seconds.append(seconds)
        row.theirs.seconds += theirs["seconds"]
    return [row]


def start_up(bench: Bench, encoding: str) -> list[float]:
    """Wall seconds of 20 whole runs over 20 KB, on all CPUs this process may use."""
    file = bench.scratch / "small.txt"
    with bench.corpus(bench.args.texts[0]).open("rb") as source:
        file.write_bytes(source.read(20_000).decode("utf-8", errors="ignore").encode())
    threads = len(os.sched_getaffinity(0))
    return [bench.shardmill(file, encoding, threads, bench.scratch)[0] for _ in range(20)]


# Output.


def output_of(*command: str | Path) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def file_system(path: Path) -> str:
    """Type of the file system that holds `path`."""
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        if path.resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


def facts(args: argparse.Namespace) -> dict[str, str]:
    changed = "" if output_of("git", "status", "--porcelain", "src", "crates", "Cargo.lock") == "" else ", changed"
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    peers = [name for name in args.peers if any(map(peer.PEERS[name].reads, args.encodings))]
    found = {
        "CPU": f"{cpu_model()}, {os.cpu_count()} cores, {len(os.sched_getaffinity(0))} usable",
        "load when begun": load,
        "shardmill": f"{output_of(args.binary, '--version')}, commit {output_of('git', 'rev-parse', '--short=12', 'HEAD')}{changed}",
        **{name: importlib.metadata.version(name) for name in peers},
        "Python": platform.python_version(),
        "rustc": output_of("rustc", "--version"),
        "output": f"{file_system(args.scratch)}" + (f"; disk: {file_system(args.disk)}" if args.disk else ""),
        "repetitions": str(args.repetitions),
        "command": shlex.join(["benches/compare/compare.py", *sys.argv[1:]]),
    }
    for name in args.texts:
        data = (args.corpora / f"{name}.txt").read_bytes()
        found[f"{name}.txt"] = f"{len(data) / MB:.1f} MB, SHA-256 {hashlib.sha256(data).hexdigest()[:16]}"
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(f"| {' | '.join(head)} |")
    print(f"|{' --- |' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row[: len(head)])} |", flush=True)


TITLES = {
    "first": "First pass: a fresh process, nothing known of the text",
    "written": "The same work: the first pass, with the peer's ids written to a file as well",
    "further": "Further passes: what one more pass over the same text takes",
    "tiktoken": "tiktoken: the first 10 MB",
    "fastokens": "fastokens: the first pass",
    "tokenizers": "HF tokenizers: the first pass",
}


def report(rows: list[Row], starts: dict[str, list[float]], args: argparse.Namespace) -> None:
    print("\nMB/s: best (median). Ratio: shardmill to peer, of bests (of medians).")
    for part, title in TITLES.items():
        chosen = [row for row in rows if row.part == part]
        if not chosen:
            continue
        print(f"\n### {title}\n")
        peer_name = part if part in peer.PEERS else "gigatoken"
        head = ["encoding", "corpus", "threads", "shardmill", peer_name, "ratio"]
        if part == "first" and args.disk:
            head.append("shardmill, to disk")
        table(head, [row.cells() for row in chosen])
    if starts:
        print("\n### Start-up: a whole run over 20 KB\n")
        cells = [
            [Path(name).stem, f"{statistics.median(all_) * 1000:.1f}", f"{min(all_) * 1000:.1f}"]
            for name, all_ in starts.items()
        ]
        table(["encoding", "median ms", "best ms"], cells)


# Options.


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time `shardmill tokenize` beside other tokenizers.")
    parser.add_argument("corpora", type=Path, help="directory that corpora.py filled")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/dist/shardmill", metavar="FILE")
    parser.add_argument("--encodings", nargs="*", choices=peer.VOCABULARIES, default=list(peer.VOCABULARIES))
    parser.add_argument(
        "--tokenizers", nargs="+", type=Path, default=[], metavar="FILE", help="tokenizer.json files"
    )
    parser.add_argument("--texts", nargs="+", choices=corpora.CORPORA, default=list(corpora.CORPORA))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--peers", nargs="+", choices=peer.PEERS, default=list(peer.PEERS))
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="of each cell [default: 3]")
    parser.add_argument(
        "--long",
        type=int,
        default=4,
        metavar="K",
        help="times the corpus stands in shardmill's long input; 1 leaves further passes out [default: 4]",
    )
    parser.add_argument(
        "--assets", type=Path, metavar="DIR",
        help="with the vocabularies, *.tiktoken [default: in the sources of the crate tiktoken-rs]",
    )  # fmt: skip
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"), metavar="DIR", help="on tmpfs")
    parser.add_argument("--disk", type=Path, metavar="DIR", help="time output to this directory too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    args = parser.parse_args()
    check(args, parser.error)
    args.encodings = [*args.encodings, *(str(path.resolve()) for path in args.tokenizers)]
    args.binary = args.binary.resolve()
    return args


def check(args: argparse.Namespace, error: Callable[[str], None]) -> None:
    usable = len(os.sched_getaffinity(0))
    if not all(1 <= n <= usable for n in args.threads):
        error(f"--threads must be from 1 to {usable}, the CPUs this process may use")
    if args.repetitions < 1 or args.long < 1:
        error("--repetitions and --long must be at least 1")
    if not os.access(args.binary, os.X_OK):
        error(f"no program {args.binary}: run `cargo build --profile dist` first")
    for path in args.tokenizers:
        if not (path.suffix == ".json" and path.is_file()):
            error(f"no tokenizer.json {path}")
    for name in args.texts:
        if not (args.corpora / f"{name}.txt").is_file():
            error(f"no {name}.txt in {args.corpora}: run corpora.py first")
    for path in filter(None, [args.scratch, args.disk, args.json and args.json.resolve().parent]):
        if not path.is_dir():
            error(f"no directory {path}")
    for name in args.peers:
        if importlib.util.find_spec(name) is None:
            error(f"{name} is not installed: pip install -r benches/compare/requirements.txt")


def measure(bench: Bench) -> tuple[list[Row], dict[str, list[float]]]:
    args = bench.args
    rows: list[Row] = []
    for corpus in args.texts:
        for encoding in args.encodings:
            made: list[Row] = []
            for name in args.peers:
                if not peer.PEERS[name].reads(encoding):
                    continue
                if name != "gigatoken":
                    made += against_one_text(bench, name, encoding, corpus)
                    continue
                for threads in args.threads:
                    made += against_gigatoken(bench, encoding, corpus, threads)
            for row in made:
                print(row.part, *row.cells(), sep="  ", file=sys.stderr, flush=True)
            rows += made
    rows.sort(key=lambda row: (args.encodings.index(row.encoding), args.texts.index(row.corpus), row.threads))
    return rows, {encoding: start_up(bench, encoding) for encoding in args.encodings}


def main() -> None:
    args = options()
    header = facts(args)
    for name, value in header.items():
        print(f"- {name}: {value}", flush=True)
    with tempfile.TemporaryDirectory(prefix="shardmill-compare-", dir=args.scratch) as scratch:
        rows, starts = measure(Bench(args, Path(scratch)))
    header["load when done"] = " ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"- load when done: {header['load when done']}")
    report(rows, starts, args)
    if args.json:
        result = {"header": header, "rows": [asdict(row) for row in rows], "start_up_seconds": starts}
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if any(row.wrong.startswith("WRONG") for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
