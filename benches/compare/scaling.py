#!/usr/bin/env python3
"""Compares one process of N threads with N processes of one thread, and prints a Markdown table.

What N separate processes reach is what the machine allows, because they share nothing: a ratio of 1
means that the threads do not wait for each other. Both sides read the same bytes, the processes an
equal part each. See README.md.
"""

import argparse
import itertools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

MB = 1_000_000
ROOT = Path(__file__).resolve().parents[2]
RECORD_CHARACTERS = 2000
GROUP_ROWS = 1000
N_FILES = 20_000


def fail(message: str) -> None:
    print(f"scaling.py: {message}", file=sys.stderr)
    sys.exit(2)


@dataclass
class Side:
    """What one side of a cell took, by repetition."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    switches: list[int] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)


@dataclass
class Row:
    """One kind of input with one number of threads."""

    kind: str
    n: int
    n_bytes: int
    threads: Side = field(default_factory=Side)
    processes: Side = field(default_factory=Side)
    futex_calls: int | None = None

    def rate(self, side: Side, of: Callable[[list[float]], float]) -> float:
        return self.n_bytes / MB / of(side.seconds)

    def cells(self) -> list[str]:
        best, median = min, statistics.median
        per_mb = MB / self.n_bytes
        futex = "-" if self.futex_calls is None else f"{self.futex_calls * per_mb:.2f}"
        return [
            self.kind,
            str(self.n),
            *(
                f"{self.rate(side, best):.0f} ({self.rate(side, median):.0f})"
                for side in (self.threads, self.processes)
            ),
            f"{self.rate(self.threads, best) / self.rate(self.processes, best):.2f}",
            f"{self.rate(self.threads, median) / self.rate(self.processes, median):.2f}",
            f"{median(self.threads.cpu_seconds):.2f}",
            f"{median(self.threads.switches) * per_mb:.2f}",
            f"{median(self.threads.faults) * per_mb:.0f}",
            futex,
        ]


COLUMNS = [
    "input", "n", "threads, MB/s", "processes, MB/s", "ratio of best", "of medians",
    "CPU s", "switches/MB", "faults/MB", "futex calls/MB",
]  # fmt: skip


class Input:
    """A corpus, and the same corpus in equal parts."""

    def __init__(self, kind: str, whole: Path, n_bytes: int, parts: Callable[[int], list[Path]]):
        self.kind, self.whole, self.n_bytes, self.parts = kind, whole, n_bytes, parts


def line_parts(path: Path) -> Callable[[int], list[Path]]:
    """Cuts a file at line ends."""

    def parts(n: int) -> list[Path]:
        data = path.read_bytes()
        ends = [0, *(data.rfind(b"\n", 0, len(data) * i // n) + 1 for i in range(1, n)), len(data)]
        made = []
        for i, (start, end) in enumerate(zip(ends, ends[1:])):
            part = path.with_name(f"{path.stem}.{i}-{n}{path.suffix}")
            part.write_bytes(data[start:end])
            made.append(part)
        return made

    return parts


def json_lines(text: Path, work: Path) -> Input:
    path = work / "records.jsonl"
    body = text.read_text(encoding="utf-8")
    with path.open("w", encoding="utf-8") as file:
        for at in range(0, len(body), RECORD_CHARACTERS):
            file.write(json.dumps({"text": body[at : at + RECORD_CHARACTERS]}) + "\n")
    return Input("JSON Lines", path, path.stat().st_size, line_parts(path))


def parquet(text: Path, work: Path) -> Input:
    """The records of `json_lines` as rows; rates are of their text."""
    import pyarrow
    import pyarrow.parquet

    def write(path: Path, rows: list[str]) -> None:
        pyarrow.parquet.write_table(pyarrow.table({"text": rows}), path, row_group_size=GROUP_ROWS)

    body = text.read_text(encoding="utf-8")
    rows = [body[at : at + RECORD_CHARACTERS] for at in range(0, len(body), RECORD_CHARACTERS)]
    path = work / "rows.parquet"
    write(path, rows)

    def parts(n: int) -> list[Path]:
        made = []
        for i in range(n):
            made.append(path.with_name(f"{path.stem}.{i}-{n}{path.suffix}"))
            write(made[-1], rows[len(rows) * i // n : len(rows) * (i + 1) // n])
        return made

    return Input("Parquet", path, text.stat().st_size, parts)


def small_files(text: Path, work: Path) -> Input:
    root = work / "files"
    data = text.read_bytes()
    step = len(data) // N_FILES
    n_bytes, at = 0, 0
    for i in range(N_FILES):
        end = data.find(b"\n", at + step) + 1 or len(data)
        folder = root / f"{i // 1000:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:05}.txt").write_bytes(data[at:end])
        n_bytes, at = n_bytes + end - at, end
        if at == len(data):
            break

    def parts(n: int) -> list[Path]:
        files = sorted(root.rglob("*.txt"))
        made = []
        for i in range(n):
            part = work / f"files.{i}-{n}"
            part.mkdir()
            for file in files[len(files) * i // n : len(files) * (i + 1) // n]:
                os.link(file, part / file.name)
            made.append(part)
        return made

    return Input("small files", root, n_bytes, parts)


def command(args: argparse.Namespace, source: Path, out: Path, threads: int) -> list[str]:
    return [
        str(args.binary), "tokenize", str(source), "--out", str(out), "--encoding", args.encoding,
        "--threads", str(threads), *args.options,
    ]  # fmt: skip


def measure(commands: list[list[str]], side: Side, work: Path) -> None:
    """Runs the commands at the same time."""
    silence = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    start = time.perf_counter()
    running = [os.posix_spawn(run[0], run, os.environ, file_actions=silence) for run in commands]
    usages = []
    for run, pid in zip(commands, running):
        _, status, usage = os.wait4(pid, 0)
        if status != 0:
            fail(f"failed: {' '.join(run)}")
        usages.append(usage)
    side.seconds.append(time.perf_counter() - start)
    side.cpu_seconds.append(sum(usage.ru_utime + usage.ru_stime for usage in usages))
    side.switches.append(sum(usage.ru_nvcsw for usage in usages))
    side.faults.append(sum(usage.ru_minflt for usage in usages))
    for out in work.glob("out*"):
        shutil.rmtree(out)


def futex_calls(run: list[str], work: Path) -> int | None:
    if shutil.which("strace") is None:
        return None
    log = work / "strace"
    subprocess.run(
        # Other calls are not stopped at: that would slow down what is measured.
        ["strace", "-f", "--seccomp-bpf", "-c", "-e", "trace=futex", "-o", log, *run],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    shutil.rmtree(work / "out")
    lines = [line.split() for line in log.read_text().splitlines() if line.endswith("futex")]
    return int(lines[0][3]) if lines else 0


def measure_rows(args: argparse.Namespace, source: Input, work: Path) -> list[Row]:
    """Measures each number of threads, and of processes, by turns."""
    rows = [Row(source.kind, n, source.n_bytes) for n in args.threads]
    parts = [source.parts(n) for n in args.threads]
    threads = [command(args, source.whole, work / "out", n) for n in args.threads]
    processes = [
        [command(args, part, work / f"out{i}", 1) for i, part in enumerate(of_n)] for of_n in parts
    ]
    for _ in range(args.repetitions):
        for row, one, many in zip(rows, threads, processes):
            measure([one], row.threads, work)
            measure(many, row.processes, work)
    for row, one in zip(rows, threads):
        row.futex_calls = futex_calls(one, work)
    for part in itertools.chain(*parts):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink()
    return rows


def inputs(args: argparse.Namespace, work: Path) -> list[Input]:
    made = []
    for name in args.texts:
        source = args.corpora / f"{name}.txt"
        if not source.is_file():
            fail(f"no {source}: run corpora.py first")
        path = work / source.name
        path.write_bytes(source.read_bytes() * args.repeat)
        made.append(Input(name, path, path.stat().st_size, line_parts(path)))
    text = made[0].whole
    made += [json_lines(text, work), small_files(text, work)]
    return [*made, parquet(text, work)] if args.parquet else made


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare N threads with N processes.")
    parser.add_argument("corpora", type=Path, help="directory that corpora.py filled")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/dist/shardmill", metavar="FILE")
    parser.add_argument("--texts", nargs="+", default=["english", "multi", "code"], metavar="NAME")
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N",
        help="how often each text is repeated: 16 threads need some 500 MB",
    )  # fmt: skip
    parser.add_argument("--threads", nargs="+", type=int, default=[2], metavar="N")
    parser.add_argument("--encoding", default="gpt2")
    parser.add_argument("--parquet", action="store_true", help="measure Parquet, too; needs pyarrow")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path("/dev/shm"), help="a file system in memory")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples")
    parser.add_argument("options", nargs="*", metavar="-- OPTION", help="further options of tokenize")
    args = parser.parse_args()
    if min([*args.threads, args.repetitions, args.repeat]) < 1:
        parser.error("numbers must be at least 1")
    if not args.binary.is_file():
        fail(f"no program {args.binary}: run `cargo build --profile dist` first")

    cpus = len(os.sched_getaffinity(0))
    print(f"{platform.machine()}, {cpus} CPUs, load {os.getloadavg()[0]:.1f}; {args.encoding}\n")
    print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS), flush=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix="scaling-", dir=args.work) as work:
        for source in inputs(args, Path(work)):
            for row in measure_rows(args, source, Path(work)):
                rows.append(row)
                print("| " + " | ".join(row.cells()) + " |", flush=True)
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
