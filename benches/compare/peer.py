"""Times one peer on one file. `compare.py` starts this process and reads the JSON that it prints.

Import, vocabulary, and reading input that the peer takes as text are not timed.
"""

import base64
import hashlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

# The split patterns of tiktoken's own definitions (tiktoken_ext/openai_public.py).
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|"
    r"\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+{CONTRACTION}|"
    rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*{CONTRACTION}|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Vocabulary(NamedTuple):
    """The file with an encoding's ranks, and what the file does not say."""

    file: str
    pattern: str
    scheme: str  # gigatoken's name for the pattern


VOCABULARIES = {
    "gpt2": Vocabulary("r50k_base.tiktoken", GPT2, "gpt2"),
    "cl100k_base": Vocabulary("cl100k_base.tiktoken", CL100K, "gpt4"),
    "o200k_base": Vocabulary("o200k_base.tiktoken", O200K, "o200k"),
}


def is_file(encoding: str) -> bool:
    """Whether an encoding is that of a tokenizer.json, and not one of `VOCABULARIES`."""
    return encoding.endswith(".json")


class Call(NamedTuple):
    """What is timed, and how its result becomes an array of little-endian u32 ids."""

    encode: Callable[[], Any]
    ids: Callable[[Any], Any]


def gigatoken(encoding: str, assets: Path, file: Path, threads: int) -> Call:
    import awkward
    import numpy
    from gigatoken import TextFileSource, Tokenizer

    if is_file(encoding):
        tokenizer = Tokenizer(encoding)
    else:
        vocabulary = VOCABULARIES[encoding]
        # Without special tokens their text is text, as with shardmill's default.
        tokenizer = Tokenizer.from_tiktoken(assets / vocabulary.file, vocabulary.scheme, {})
    source = TextFileSource([file])
    return Call(
        lambda: tokenizer.encode_files(source, parallel=threads > 1),
        lambda out: numpy.asarray(awkward.flatten(out)).astype("<u4", copy=False),
    )


def ranks(file: Path) -> dict[bytes, int]:
    """The tokens in a file of tiktoken, with their ranks."""
    lines = (line.split() for line in file.read_bytes().splitlines())
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def tiktoken(encoding: str, assets: Path, file: Path, threads: int) -> Call:
    import numpy
    import tiktoken

    del threads  # one text is one thread
    vocabulary = VOCABULARIES[encoding]
    encoder = tiktoken.Encoding(
        encoding,
        pat_str=vocabulary.pattern,
        mergeable_ranks=ranks(assets / vocabulary.file),
        special_tokens={},
    )
    text = file.read_bytes().decode("utf-8")
    return Call(lambda: encoder.encode_ordinary(text), lambda ids: numpy.array(ids, "<u4"))


def fastokens(encoding: str, assets: Path, file: Path, threads: int) -> Call:
    import fastokens
    import numpy

    del assets, threads  # one text is one thread
    tokenizer = fastokens.Tokenizer.from_file(encoding)
    text = file.read_bytes().decode("utf-8")
    return Call(lambda: tokenizer.encode(text), lambda out: numpy.array(out.ids, "<u4"))


def tokenizers(encoding: str, assets: Path, file: Path, threads: int) -> Call:
    import tokenizers

    del assets, threads  # one text is one thread
    tokenizer = tokenizers.Tokenizer.from_file(encoding)
    text = file.read_bytes().decode("utf-8")
    return Call(
        lambda: tokenizer.encode(text, add_special_tokens=False, padding=None, truncation=None),
        lambda out: out.ids_array,
    )


class Peer(NamedTuple):
    """A package of that name, and what it reads."""

    prepare: Callable[[str, Path, Path, int], Call]
    vocabularies: bool
    files: bool  # tokenizer.json

    def reads(self, encoding: str) -> bool:
        return self.files if is_file(encoding) else self.vocabularies


PEERS = {
    "gigatoken": Peer(gigatoken, vocabularies=True, files=True),
    "tiktoken": Peer(tiktoken, vocabularies=True, files=False),
    "fastokens": Peer(fastokens, vocabularies=False, files=True),
    "tokenizers": Peer(tokenizers, vocabularies=False, files=True),
}


def main(
    peer: str, encoding: str, assets: str, file: str, threads: str, passes: str, written: str
) -> None:
    """Also writes the ids of the first pass to the file `written`, as a user of the peer does."""
    try:
        call = PEERS[peer].prepare(encoding, Path(assets), Path(file), int(threads))
    except ValueError as refusal:
        print(json.dumps({"refused": str(refusal)}))
        return
    seconds = []
    digest = n_tokens = write_seconds = None
    for i in range(int(passes)):
        start = time.perf_counter()
        out = call.encode()
        seconds.append(time.perf_counter() - start)
        if i == 0:
            Path(written).unlink(missing_ok=True)
            start = time.perf_counter()
            ids = call.ids(out)
            ids.tofile(written)
            write_seconds = time.perf_counter() - start
            n_tokens = len(ids)
            digest = hashlib.sha256(ids).hexdigest()
            del ids
        del out  # before the next pass, outside its time
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"seconds": seconds, "write_seconds": write_seconds, "tokens": n_tokens, "sha256": digest}
    print(json.dumps(found | {"peak_kib": peak_kib}))


if __name__ == "__main__":
    main(*sys.argv[1:])
