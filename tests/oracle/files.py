#!/usr/bin/env python3
"""Prints the ids that a tokenizer file's own library returns for texts.

    files.py tokenizer.json < texts.json    # a list of strings; prints a list of lists of ids
    files.py qwen.tiktoken --pattern qwen2 --hash < texts.json    # counts and hashes only

The library is that of the format: HF tokenizers for tokenizer.json, tiktoken for ranks (with a
pattern by name or as it is), mistral-common for tekken.json, SentencePiece for .model. No library
adds a token before or after a text. HF finds added tokens in texts, unless `--special-as-text`;
tiktoken and mistral-common never do, SentencePiece finds user-defined pieces only.
"""

import argparse
import hashlib
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from patterns import PATTERNS

Encode = Callable[[str], list[int]]


def tokenizer_json(file: Path, special_as_text: bool) -> Encode:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = special_as_text
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def tiktoken_ranks(file: Path, pattern: str) -> Encode:
    from tiktoken import Encoding
    from tiktoken.load import load_tiktoken_bpe

    (regex,) = PATTERNS.get(pattern, [pattern])
    ranks = load_tiktoken_bpe(str(file))
    encoding = Encoding("file", pat_str=regex, mergeable_ranks=ranks, special_tokens={})
    return encoding.encode_ordinary


def tekken(file: Path) -> Encode:
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    tokenizer = Tekkenizer.from_file(str(file))
    return lambda text: tokenizer.encode(text, bos=False, eos=False)


def sentencepiece_model(file: Path) -> Encode:
    from sentencepiece import SentencePieceProcessor

    return SentencePieceProcessor(model_file=str(file)).encode


def is_tokenizer_json(file: Path) -> bool:
    """Whether it is HF's; tekken.json begins with its configuration."""
    return file.suffix == ".json" and b'"num_vocab_tokens"' not in file.read_bytes()[:4096]


def library(file: Path, pattern: str | None, special_as_text: bool = False) -> Encode:
    if is_tokenizer_json(file):
        return tokenizer_json(file, special_as_text)
    if file.suffix == ".json":
        return tekken(file)
    if pattern is not None:
        return tiktoken_ranks(file, pattern)
    if file.suffix == ".tiktoken":
        sys.exit("files.py: ranks need --pattern")
    return sentencepiece_model(file)


def hashes(ids: list[list[int]]) -> dict[str, int | str]:
    """Of all ids, and of each text's count and ids, as little-endian 32-bit integers."""
    plain, counted = hashlib.sha256(), hashlib.sha256()
    for text in ids:
        packed = struct.pack(f"<{len(text)}I", *text)
        plain.update(packed)
        counted.update(struct.pack("<I", len(text)) + packed)
    return {
        "tokens": sum(map(len, ids)),
        "sha256_u32le": plain.hexdigest(),
        "sha256_of_len_and_ids_u32le": counted.hexdigest(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "--pattern", help=f"for ranks: a regular expression, or {', '.join(PATTERNS)}"
    )
    parser.add_argument("--special-as-text", action="store_true")
    parser.add_argument("--hash", action="store_true", help="print counts and hashes")
    arguments = parser.parse_args()
    encode = library(arguments.file, arguments.pattern, arguments.special_as_text)
    ids = [encode(text) for text in json.load(sys.stdin)]
    json.dump(hashes(ids) if arguments.hash else ids, sys.stdout)
    print()


if __name__ == "__main__":
    main()
