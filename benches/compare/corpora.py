#!/usr/bin/env python3
"""Assembles the four corpora that compare.py reads: english, markdown, code and multi.

The text comes from Debian packages, fetched with `apt-get download` and read without being
installed, and from the Rust, Python and C files on the machine. No line of prose, and no file of code
or Markdown that is mostly known already, goes in twice: a repeated text would warm the caches. Each
corpus ends at `--size`, or when its sources are used up. `corpora.json` says what is in it.
"""

import argparse
import gzip
import hashlib
import html
import io
import json
import re
import struct
import subprocess
import sys
import sysconfig
import tarfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

MB = 1_000_000

ENGLISH = [
    "anarchism",
    "apache2-doc",
    "debian-handbook",
    "erlang-doc",
    "ghc-doc",
    "git-doc",
    "gnome-user-docs",
    "installation-guide-amd64",
    "libreoffice-help-en-us",
    "libstdc++-12-doc",
    "lilypond-doc-html",
    "linux-doc-6.1",
    "maxima-doc",
    "octave-doc",
    "openjdk-17-doc",
    "perl-doc",
    "postgresql-doc-15",
    "python-astropy-doc",
    "python-django-doc",
    "python-pandas-doc",
    "python-scipy-doc",
    "python-sympy-doc",
    "python3.11-doc",
    "qtbase5-doc-html",
    "racket-doc",
    "rust-doc",
    "sqlite3-doc",
    "vim-doc",
]
MARKDOWN = [
    "anarchism",
    "golang-github-aws-aws-sdk-go-v2-dev",
    "golang-github-azure-azure-sdk-for-go-dev",
    "nodejs-doc",
    "rust-src",
]
CODE = ["libboost1.81-dev", "node-typescript", "rust-src"]
HELP = (
    "ca cs da de el es et eu fi fr gl hi hu id it ja km ko nl pl pt-br ru sk sl sv tr vi zh-cn zh-tw"
).split()
LOCALES = (
    "am ar as be bg bn bs fa gd gu he hi hr is ja ka kk km kn ko lt lv mk ml mn mr ne nb or pa-in ro"
    " ru si sr ta te tg th ug uk uz vi"
).split()
MANUALS = "cs da de el es fr it ja nl pl pt-br ro ru sr sv tr uk zh".split()
MULTI = [
    *(f"libreoffice-help-{name}" for name in HELP),
    *(f"libreoffice-l10n-{name}" for name in LOCALES),
    *(f"manpages-{name}" for name in MANUALS),
    "calibre",
    "debian-handbook",
    "digikam-data",
    "evolution-common",
    "fortunes-ru",
    "fortunes-zh",
    "gimp-data",
    "gnome-user-docs",
    "gnucash-common",
    "inkscape",
    "installation-guide-amd64",
    "iso-codes",
]

SUFFIXES = {
    ".rs": "rust",
    ".py": "python",
    ".c": "c",
    ".h": "c",
    ".hpp": "c",
    ".cpp": "c",
    ".js": "javascript",
    ".ts": "javascript",
}
BLOCK_ENDS = re.compile(r"</?(?:p|div|li|ul|ol|dl|dd|dt|h\d|tr|table|pre|br|title|section)\b[^>]*>|\n\s*\n")
DROPPED = re.compile(r"<!--.*?-->|<(script|style|head|pre|nav|screen|code)\b.*?</\1>", re.DOTALL)
TAG = re.compile(r"<[^>]*>")
ENGLISH_WORDS = re.compile(r"\b(?:the|of|to|and|is|for|with|this|that|you|your|not|are|in|be|or)\b")
SPACE = re.compile(r"\s+")
ROFF_ESCAPE = re.compile(r"\\f\[?[A-Z]{1,2}\]?|\\f.|\\[&|^/,]|\\s[-+]?\d")
LANGUAGE = re.compile(
    r"/(?:locale|resource|help|man|localization)/([a-z]{2,3}(?:[_-][A-Za-z]+)?(?:@[a-z]+)?|C)/"
    r"|/(?:debian-handbook/html|installation-guide-amd64)/([a-z]{2}(?:[_-][A-Z]{2})?)/"
)


class Text(NamedTuple):
    """One file's text; `group` is what the shares of a corpus are counted by."""

    name: str
    group: str
    body: str


def fail(message: str) -> None:
    sys.exit(f"corpora.py: {message}")


# Sources.


def fetch(names: Iterable[str], directory: Path) -> None:
    """Downloads the packages that are not in `directory` yet."""
    directory.mkdir(parents=True, exist_ok=True)
    wanted = sorted({name for name in names if package(name, directory) is None})
    if not wanted:
        return
    try:
        listed = subprocess.run(["apt-cache", "pkgnames"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        fail(f"cannot list Debian packages: {error}")
    known = set(listed.stdout.split())
    if not known & set(wanted):
        fail("apt knows none of the packages: run `apt-get update` first, on Debian 12")
    for name in sorted(set(wanted) - known):
        print(f"no package {name}: left out", file=sys.stderr)
    found = sorted(set(wanted) & known)
    print(f"downloading {len(found)} packages", file=sys.stderr)
    if subprocess.run(["apt-get", "download", "-qq", *found], cwd=directory, check=False).returncode:
        fail("apt-get download failed")


def package(name: str, directory: Path) -> Path | None:
    return next(iter(sorted(directory.glob(f"{name}_*.deb"))), None)


def package_files(name: str, directory: Path, keep: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """The files of a package whose path `keep` accepts; `.gz` files are decompressed."""
    path = package(name, directory)
    if path is None:
        return
    command = ["dpkg-deb", "--fsys-tarfile", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                plain = member.name.removesuffix(".gz")
                if not member.isfile() or not keep(plain):
                    continue
                data = archive.extractfile(member).read()
                if plain != member.name:
                    data = gzip.decompress(data)
                yield f"{name}/{plain.removeprefix('./')}", data
        if process.wait():
            fail(f"cannot read {path}")


def tree_files(label: str, root: Path, suffixes: set[str]) -> Iterator[tuple[str, bytes]]:
    for path in sorted(root.rglob("*")):
        if path.suffix in suffixes and path.is_file() and not path.is_symlink():
            yield f"{label}/{path.relative_to(root)}", path.read_bytes()


def cargo_sources() -> Path:
    """The directory with the unpacked sources of every crate fetched on this machine."""
    manifest = Path(__file__).resolve().parents[2] / "Cargo.toml"
    command = ["cargo", "metadata", "--format-version", "1", "--manifest-path", str(manifest)]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        fail(f"cargo metadata failed: {error}")
    packages = json.loads(output)["packages"]
    path = next(p["manifest_path"] for p in packages if p["name"] == "tiktoken-rs")
    return Path(path).parents[1]


def machine_files(suffixes: set[str]) -> Iterator[tuple[str, bytes]]:
    """Crates, Python's library and installed packages, C headers, /usr/lib and /usr/share/doc."""
    paths = sysconfig.get_paths()
    roots = {
        "crates": cargo_sources(),
        "python": Path(paths["stdlib"]),
        "headers": Path("/usr/include"),
        "usr-lib": Path("/usr/lib"),
        "doc": Path("/usr/share/doc"),
    }
    for label, root in roots.items():
        if root.is_dir():
            yield from tree_files(label, root, suffixes)


# Bytes to text.


def decode(data: bytes) -> str:
    """The text, or nothing if the bytes are not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def html_text(data: bytes) -> str:
    text = BLOCK_ENDS.sub("\0", DROPPED.sub(" ", decode(data)))
    blocks = (SPACE.sub(" ", html.unescape(TAG.sub("", block))).strip() for block in text.split("\0"))
    return "\n".join(block for block in blocks if block)


def joined_text(data: bytes) -> str:
    """Plain text with each paragraph on one line."""
    blocks = re.split(r"\n\s*\n", decode(data))
    return "\n".join(SPACE.sub(" ", block).strip() for block in blocks)


def roff_text(data: bytes) -> str:
    lines = []
    for line in decode(data).split("\n"):
        if line.startswith((".", "'")):
            macro, _, rest = line.partition(" ")
            line = rest.replace('"', "") if macro in {".B", ".I", ".SH", ".SS", ".BR", ".IR"} else "\n"
            line = line if rest else "\n"
        lines.append(ROFF_ESCAPE.sub("", line).replace("\\-", "-"))
    return joined_text("\n".join(lines).encode())


def catalogue_text(data: bytes) -> str:
    """The translations of a compiled gettext catalogue, without the English keys."""
    if data[:4] != b"\xde\x12\x04\x95":
        return ""
    count, keys, values = struct.unpack_from("<3I", data, 8)
    lines = []
    for i in range(count):
        key_len, _ = struct.unpack_from("<2I", data, keys + 8 * i)
        length, start = struct.unpack_from("<2I", data, values + 8 * i)
        if key_len:  # the empty key is the catalogue's header
            lines.extend(decode(data[start : start + length].replace(b"\0", b"\n")).split("\n"))
    return "\n".join(lines)


CONVERTERS: dict[str, Callable[[bytes], str]] = {
    ".html": html_text,
    ".page": html_text,
    ".xml": html_text,
    ".mo": catalogue_text,
    ".txt": joined_text,
    ".rst": joined_text,
    ".pod": joined_text,
}


def converter(path: str) -> Callable[[bytes], str] | None:
    if re.search(r"/man/.*\.\d[a-z]*$", path):
        return roff_text
    if "/games/fortunes/" in path and not path.endswith((".dat", ".u8")):
        return lambda data: joined_text(data.replace(b"\n%\n", b"\n\n"))
    return CONVERTERS.get(Path(path).suffix)


# The corpora.


def language(path: str) -> str:
    """The language that a path names, or that its package's name ends in."""
    if match := LANGUAGE.search(path):
        return (match[1] or match[2]).replace("_", "-").lower()
    match = re.match(r"(?:libreoffice-(?:help|l10n)|manpages|fortunes)-([a-z-]+)/", path)
    return match[1] if match else ""


def is_prose(line: str) -> bool:
    """Sentences in plain words: long enough, mostly letters, not a table, a signature or an index."""
    words = line.split()
    if len(line) < 60 or len(words) < 10 or len(line) > 9 * len(words):
        return False
    return line.isascii() and sum(map(str.isalpha, line)) > 0.7 * len(line)


def english(packages: Path) -> Iterator[Text]:
    """Documentation and essays: their English paragraphs."""
    for name in ENGLISH:
        for path, data in package_files(name, packages, lambda path: converter(path) is not None):
            if "/_sources/" in path or language(path) not in {"", "c", "en", "en-us"}:
                continue
            lines = converter(path)(data).split("\n")
            yield Text(path, name, "\n".join(line for line in lines if is_prose(line)))


def is_english(line: str) -> bool:
    """Whether a translation left this line in English."""
    return line.isascii() and len(ENGLISH_WORDS.findall(line)) >= 2


def script(text: str) -> str:
    """The script of most letters beyond ASCII; LATIN if there are few."""
    letters = [c for c in text[:4000] if c.isalpha()]
    names = Counter(unicodedata.name(c, "OTHER").split()[0] for c in letters if not c.isascii())
    if not names or names.total() < len(letters) // 4:
        return "LATIN"
    if names["HIRAGANA"] + names["KATAKANA"] > names.total() // 10:
        return "JAPANESE"
    return names.most_common(1)[0][0]


def multi(packages: Path) -> Iterator[Text]:
    """Translated manuals, help texts and messages, by script; never English."""
    for name in MULTI:
        for path, data in package_files(name, packages, lambda path: converter(path) is not None):
            tongue = language(path)
            if tongue and tongue != "c" and not tongue.startswith("en"):
                lines = converter(path)(data).split("\n")
                body = "\n".join(line for line in lines if len(line) >= 20 and not is_english(line))
                yield Text(path, script(body), body)


def doc_comments(source: str) -> str:
    """The Markdown in a Rust file's documentation comments."""
    lines = []
    for line in source.split("\n"):
        stripped = line.lstrip()
        if stripped.startswith(("///", "//!")) and not stripped.startswith("////"):
            lines.append(stripped[3:].removeprefix(" "))
        elif lines and lines[-1]:
            lines.append("")
    return "\n".join(lines)


def markdown(packages: Path) -> Iterator[Text]:
    """Markdown files, the descriptions of Python packages, and Rust's documentation comments."""
    for path, data in machine_files({".md", ".rs"}):
        text = decode(data)
        if path.endswith(".rs"):
            yield Text(path, "doc comments", doc_comments(text))
        else:
            yield Text(path, "files", text)
    for meta in sorted(Path(sysconfig.get_paths()["purelib"]).glob("*/METADATA")):
        head, _, body = decode(meta.read_bytes()).partition("\n\n")
        if "text/markdown" in head:
            yield Text(f"python/{meta.parent.name}", "files", body)
    for name in MARKDOWN:
        for path, data in package_files(name, packages, lambda path: path.endswith((".md", ".rs"))):
            text = decode(data)
            if path.endswith(".md"):
                yield Text(path, name, text)
            else:
                yield Text(path, "doc comments", doc_comments(text))


def code(packages: Path) -> Iterator[Text]:
    """Source files as they are, except generated ones (a line of more than 2,000 characters)."""
    files = machine_files(set(SUFFIXES))
    more = (
        file
        for name in CODE
        for file in package_files(name, packages, lambda path: Path(path).suffix in SUFFIXES)
    )
    for source in (files, more):
        for path, data in source:
            if max(map(len, data.split(b"\n"))) <= 2000:
                yield Text(path, SUFFIXES[Path(path).suffix], decode(data))


# Selection.


def new_lines(texts: Iterable[Text]) -> Iterator[Text]:
    """The texts, without the lines that an earlier text has."""
    seen: set[int] = set()
    for text in texts:
        lines = []
        for line in text.body.split("\n"):
            key = hash(line)
            if line and key not in seen:
                seen.add(key)
                lines.append(line)
        if lines:
            yield text._replace(body="\n".join(lines) + "\n\n")


def new_files(texts: Iterable[Text]) -> Iterator[Text]:
    """Texts of which at least three quarters of the longer lines are new."""
    seen: set[int] = set()
    for text in texts:
        keys = {hash(line.strip()) for line in text.body.split("\n") if len(line.strip()) >= 20}
        if keys and len(keys - seen) >= 0.75 * len(keys):
            seen |= keys
            yield text._replace(body=text.body.rstrip("\n") + "\n\n")


def fair_shares(available: dict[str, int], size: int) -> dict[str, int]:
    """Splits `size` evenly; what a small group does not use goes to the larger ones."""
    shares = {}
    left = size
    for i, (name, has) in enumerate(sorted(available.items(), key=lambda item: item[1])):
        shares[name] = min(has, left // (len(available) - i))
        left -= shares[name]
    return shares


def source_of(text: Text) -> str:
    """Where a text comes from: its package, crate or top-level module."""
    return "/".join(text.name.split("/")[:2])


def select(texts: Iterable[Text], size: int) -> list[Text]:
    """An even share of each group and at most a tenth of the corpus from any one crate, shuffled."""
    order = sorted(texts, key=lambda text: hashlib.sha256(text.name.encode()).digest())
    kept = []
    by_source: Counter[str] = Counter()
    for text in order:
        n_bytes = len(text.body.encode())
        if by_source[source_of(text)] + n_bytes <= size // 10:
            by_source[source_of(text)] += n_bytes
            kept.append((text, n_bytes))
    available: dict[str, int] = defaultdict(int)
    for text, n_bytes in kept:
        available[text.group] += n_bytes
    left = fair_shares(available, size)
    chosen = []
    for text, n_bytes in kept:
        if left[text.group] > 0:
            left[text.group] -= n_bytes
            chosen.append(text)
    return chosen


def write(path: Path, texts: list[Text], size: int) -> dict[str, object]:
    """Writes at most `size` bytes, cut between characters, and returns what they are."""
    out = io.BytesIO()
    groups: Counter[str] = Counter()
    for text in texts:
        groups[text.group] += out.write(text.body.encode())
    data = out.getvalue()[:size].decode("utf-8", errors="ignore").encode()
    path.write_bytes(data)
    return {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "files": len(texts),
        "groups": dict(groups.most_common()),
    }


class Corpus(NamedTuple):
    texts: Callable[[Path], Iterator[Text]]
    packages: list[str]
    distinct: Callable[[Iterable[Text]], Iterator[Text]]


CORPORA = {
    "english": Corpus(english, ENGLISH, new_lines),
    "markdown": Corpus(markdown, MARKDOWN, new_files),
    "code": Corpus(code, CODE, new_files),
    "multi": Corpus(multi, MULTI, new_lines),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Assemble the corpora that compare.py reads.")
    parser.add_argument("directory", type=Path, help="where the corpora go; made if missing")
    parser.add_argument("--size", type=int, default=100, metavar="MB", help="of each corpus [default: 100]")
    parser.add_argument("--only", choices=CORPORA, nargs="+", default=list(CORPORA), help="make these alone")
    parser.add_argument("--packages", type=Path, help="keeps the packages [default: DIRECTORY/packages]")
    args = parser.parse_args()
    if args.size < 1:
        parser.error("--size must be at least 1")
    packages = (args.packages or args.directory / "packages").resolve()
    args.directory.mkdir(parents=True, exist_ok=True)
    fetch((name for corpus in args.only for name in CORPORA[corpus].packages), packages)

    summary_path = args.directory / "corpora.json"
    summary = json.loads(summary_path.read_text()) if summary_path.exists() else {}
    for name in args.only:
        corpus = CORPORA[name]
        texts = select(corpus.distinct(corpus.texts(packages)), args.size * MB)
        summary[name] = write(args.directory / f"{name}.txt", texts, args.size * MB)
        n_bytes = summary[name]["bytes"]
        short = "" if n_bytes > 0.99 * args.size * MB else ", all that is distinct here"
        print(f"{name}: {n_bytes / MB:.1f} MB of {len(texts)} files{short}")
        summary_path.write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
