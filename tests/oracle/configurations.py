#!/usr/bin/env python3
"""Writes random tokenizer.json configurations with the ids that HF tokenizers returns for them.

The differential test reads them: for each configuration we return the same ids, or refuse the
file by name. Every field of the format is varied, alone, in pairs and in greater numbers, with
valid, odd and invalid values. The vocabularies are small, so that thousands of files are quick.

    configurations.py --seed 1 --count 20000 2>/dev/null    # HF writes panics to stderr
    configurations.py --alone --small --count 40    # fixtures/tokenizers/configurations.jsonl

Each line of the output is a JSON object: `tokenizer`, the file; `changed`, the fields in which it
differs from a plain one; `texts`; `ids`, for each text those of
`encode(text, add_special_tokens=False)` without truncation and padding, or null if HF fails;
`special_as_text_ids`, the same with `encode_special_tokens`. A configuration that HF refuses, or
for which it draws ids at random, has `error` instead of ids. The tables are in fields.py.
Needs tokenizers 0.23.3.
"""

import argparse
import copy
import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fields import FIELDS, WEIGHTS, byte_level, metaspace, normalizers, prepend
from fields import replace, sequence, split
from models import ABSENT, ATOMS, WORDS, Json, add_tokens, byte_level_model, number_tokens
from models import sentencepiece_model
from patterns import LLAMA3
from tokenizers import Tokenizer

Result = TypeVar("Result")
Changes = list[tuple[str, Any]]

# What pieces of text are, as often as listed.
KINDS = ["atom"] * 4 + ["word"] * 2 + ["next word"] * 3 + ["token"] * 2


def plain(rng: random.Random, sentencepiece: bool) -> Json:
    """A file as the common models have it: byte-level, or in the style of SentencePiece."""
    if sentencepiece:
        llama2 = normalizers(prepend("▁"), replace(" ", "▁"))
        splits = [(None, metaspace()), (llama2, None), (replace(" ", "▁"), None)]
    else:
        splits = [(None, byte_level()), (None, sequence(split(LLAMA3), byte_level(regex=False)))]
    normalizer, pre_tokenizer = rng.choice(splits)
    file = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": None,
        "model": sentencepiece_model(rng) if sentencepiece else byte_level_model(rng),
    }
    add_tokens("<s>" if sentencepiece else "<|endoftext|>", special=True)(rng, file)
    return file


def random_changes(rng: random.Random) -> Changes:
    count = rng.choice([1, 2, 2, 2, 3, 4, 5, 6])
    names = rng.choices(list(FIELDS), [WEIGHTS.get(name, 1) for name in FIELDS], k=count)
    return [(name, rng.choice(FIELDS[name])) for name in dict.fromkeys(names)]


def change(rng: random.Random, file: Json, changes: Changes) -> None:
    """Functions look into the file, so what replaces or removes a part of it comes last."""
    order = list(FIELDS)
    for path, value in sorted(changes, key=lambda c: (not callable(c[1]), order.index(c[0]))):
        *parents, key = path.split(".")
        inside = file[parents[0]] if parents else file
        if callable(value):
            value(rng, file)
        elif value is ABSENT:
            inside.pop(key, None)
        else:
            inside[key] = copy.deepcopy(value)


def texts(rng: random.Random, file: Json, small: bool) -> list[str]:
    """Twenty short texts and a long one, with the contents of the file's added tokens in them."""
    contents = [token["content"] for token in file.get("added_tokens") or []]

    def piece() -> str:
        match rng.choice(KINDS):
            case "atom":
                return rng.choice(ATOMS)
            case "word":
                return rng.choice(WORDS)
            case "next word":
                return " " + rng.choice(WORDS)
        before, after = (
            rng.choice(["", " ", "  ", "\n", "a"]),
            rng.choice(["", " ", "  ", "a", "_"]),
        )
        return before + rng.choice(contents or ["<x>"]) + after

    def pieces(count: int) -> str:
        return "".join(piece() for _ in range(count))

    if small:
        run = rng.choice(ATOMS) * rng.randint(3, 9)
        return ["", *(pieces(rng.randint(1, 9)) for _ in range(8)), run, pieces(60)]
    short = [pieces(rng.choice([1, 2, 3, 4, 6, 9])) for _ in range(16)]
    runs = [rng.choice(ATOMS) * rng.randint(3, 70) + piece() for _ in range(3)]
    return ["", *short, *runs, pieces(420)[:2000]]


def attempt(function: Callable[[], Result]) -> Result | str:
    """What the function returns, or why it fails; HF's panics are no `Exception`."""
    try:
        return function()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as failure:
        return f"{type(failure).__name__}: {failure}"


def ids(tokenizer: Tokenizer, text: str) -> list[int] | None:
    encoded = attempt(lambda: tokenizer.encode(text, add_special_tokens=False).ids)
    return None if isinstance(encoded, str) else encoded


def record(rng: random.Random, changes: Changes, sentencepiece: bool, small: bool) -> Json:
    file = plain(rng, sentencepiece)
    change(rng, file, changes)
    number_tokens(file)
    made: Json = {"tokenizer": file, "changed": [path for path, _ in changes]}
    made["texts"] = texts(rng, file, small)
    tokenizer = attempt(lambda: Tokenizer.from_str(json.dumps(file)))
    if isinstance(tokenizer, str):
        return made | {"error": tokenizer}
    if 0 < (file["model"].get("dropout") or 0) < 1:
        return made | {"error": "the ids are random"}
    tokenizer.no_truncation()
    tokenizer.no_padding()
    made["ids"] = [ids(tokenizer, text) for text in made["texts"]]
    tokenizer.encode_special_tokens = True
    made["special_as_text_ids"] = [ids(tokenizer, text) for text in made["texts"]]
    return made


def in_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """HF has a cache for each tokenizer that it drops only when the thread ends."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function, *arguments).result()


def records(seed: int, count: int, alone: bool, small: bool) -> Iterator[Json]:
    for sentencepiece in (False, True):
        for name, values in FIELDS.items() if alone else []:
            for value in values:  # from the same plain file each time, which compresses well
                rng = random.Random(f"{seed} alone")
                yield in_thread(record, rng, [(name, value)], sentencepiece, small)
    for i in range(count):
        rng = random.Random(f"{seed} {i}")
        while True:
            made = in_thread(record, rng, random_changes(rng), rng.random() < 0.4, small)
            if "error" not in made or rng.random() < 0.2:  # most are files that HF loads
                break
        yield made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000, help="random configurations")
    parser.add_argument("--alone", action="store_true", help="first, each value alone")
    parser.add_argument("--small", action="store_true", help="eleven shorter texts instead of 21")
    arguments = parser.parse_args()
    for made in records(arguments.seed, arguments.count, arguments.alone, arguments.small):
        print(json.dumps(made, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
