#!/usr/bin/env python3
"""Writes golden ids of real tokenizer files, as counts and hashes, with files.py's libraries.

    golden.py dolma2.json qwen.tiktoken=qwen2

Each line of the output is one file; after `=` stands the pattern of ranks. `ids` has for each text
or list of texts the number of ids and a hash of them as little-endian 32-bit integers; for a list
the number of ids comes before those of each text. `special_as_text_ids` is the same with
`encode_special_tokens`, for tokenizer.json, and all that tekken.json has. The texts:

    the-verdict.txt, tinyshakespeare.txt, udhr.txt    from fixtures/text, each as one text
    hostile.json      short strings of awkward characters, from fixtures/tokenizers
    scalars           for each 256 code points, one text of a line `aCb C1CC` for each of them
    added_tokens      for each added token T of the file, in order: `aTb`, ` T ` and `TT`
"""

import gzip
import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from files import hashes, is_tokenizer_json, library

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
# Above U+33500 there are only tags, variation selectors and characters for private use.
BLOCKS = [*range(0, 0xD800, 256), *range(0xE000, 0x33500, 256), 0xE0000, 0xE0100, 0xF0000, 0x10FF00]


def texts(file: Path) -> dict[str, list[str]]:
    names = ("the-verdict.txt", "tinyshakespeare.txt", "udhr.txt")
    made = {name: [(FIXTURES / "text" / name).read_bytes().decode()] for name in names}
    made["hostile.json"] = json.loads(gzip.open(FIXTURES / "tokenizers/hostile.json.gz").read())
    made["scalars"] = [
        "".join(f"a{c}b {c}1{c}{c}\n" for c in map(chr, range(block, block + 256)))
        for block in BLOCKS
    ]
    if is_tokenizer_json(file):
        added = json.loads(file.read_bytes()).get("added_tokens") or []
        contents = [token["content"] for token in added if token["content"]]
        made["added_tokens"] = [s for t in contents for s in (f"a{t}b", f" {t} ", t + t)]
    return made


def golden(file: Path, pattern: str | None) -> dict[str, Any]:
    data = file.read_bytes()
    made: dict[str, Any] = {"file": file.name, "sha256": hashlib.sha256(data).hexdigest()}
    if pattern is not None:
        made["pattern"] = pattern
    is_hf = is_tokenizer_json(file)
    # mistral-common takes special tokens as text.
    first = "ids" if is_hf or file.suffix != ".json" else "special_as_text_ids"
    modes = ["ids", "special_as_text_ids"] if is_hf else [first]
    for mode in modes:
        encode = library(file, pattern, special_as_text=mode != "ids")
        made[mode] = {}
        for name, several in texts(file).items():
            if mode == first or name in ("the-verdict.txt", "hostile.json", "added_tokens"):
                found = hashes([encode(text) for text in several])
                unused = "sha256_u32le" if len(several) > 1 else "sha256_of_len_and_ids_u32le"
                del found[unused]
                made[mode][name] = found
    return made


def main() -> None:
    packages = ("tokenizers", "tiktoken", "sentencepiece", "mistral-common")
    versions = {package: version(package) for package in packages}
    for argument in sys.argv[1:]:
        file, _, pattern = argument.partition("=")
        print(json.dumps(golden(Path(file), pattern or None) | {"versions": versions}), flush=True)


if __name__ == "__main__":
    main()
