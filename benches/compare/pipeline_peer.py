"""Tokenizes JSON Lines as the users of other tools do. `pipelines.py` times this as a whole process.

Each function leaves the ids of all documents in `out`, in the order of the records, with an end-of-text token
after each. Every tool does what its own documentation or its authors' script does, on all CPUs.
"""

import json
import multiprocessing
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy

DTYPE = "<u2"
EOT_TEXT = "<|endoftext|>"
WORKERS = len(os.sched_getaffinity(0))


def datatrove(source: Path, tokenizer: str, out: Path) -> None:
    """A reader of JSON Lines, then `DocumentTokenizer`, by `LocalPipelineExecutor`: a task for each file."""
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer

    n_files = len(list(source.iterdir()))
    LocalPipelineExecutor(
        pipeline=[
            JsonlReader(str(source)),
            DocumentTokenizer(
                str(out / "tokens"), tokenizer, eos_token=EOT_TEXT, shuffle_documents=False
            ),
        ],
        tasks=n_files,
        workers=WORKERS,
        logging_dir=str(out / "logs"),
    ).run()


def datatrove_ids(out: Path) -> Iterator[numpy.ndarray]:
    for file in sorted((out / "tokens").glob("*.ds")):
        yield numpy.fromfile(file, DTYPE)


class Encoder:
    """What each process of `megatron` has."""

    def start(self, tokenizer: str) -> None:
        from tokenizers import Tokenizer

        Encoder.tokenizer = Tokenizer.from_file(tokenizer)
        Encoder.eot = Encoder.tokenizer.token_to_id(EOT_TEXT)

    @staticmethod
    def encode(line: str) -> list[int]:
        text = json.loads(line)["text"]
        return [*Encoder.tokenizer.encode(text, add_special_tokens=False).ids, Encoder.eot]


def megatron(source: Path, tokenizer: str, out: Path) -> None:
    """The scheme of `tools/preprocess_data.py`: lines go to a pool of processes, 32 at a time, and
    the parent process appends their ids to a file."""
    encoder = Encoder()
    with (
        multiprocessing.Pool(WORKERS, initializer=encoder.start, initargs=(tokenizer,)) as pool,
        (out / "tokens.bin").open("wb") as ids,
    ):
        for file in sorted(source.iterdir()):
            with file.open(encoding="utf-8") as lines:
                for document in pool.imap(encoder.encode, lines, 32):
                    ids.write(numpy.array(document, DTYPE).tobytes(order="C"))


def megatron_ids(out: Path) -> Iterator[numpy.ndarray]:
    yield numpy.fromfile(out / "tokens.bin", DTYPE)


def nanogpt(source: Path, tokenizer: str, out: Path) -> None:
    """The steps of nanoGPT's `prepare.py`: `datasets` maps tiktoken over the records, and the ids
    are concatenated into a memory-mapped array."""
    import datasets
    import tiktoken

    from peer import GPT2, ranks

    # As `tiktoken.get_encoding("gpt2")`, whose file may have to be downloaded.
    encoder = tiktoken.Encoding(
        "gpt2", pat_str=GPT2, mergeable_ranks=ranks(Path(tokenizer)), special_tokens={EOT_TEXT: 50256}
    )

    def process(record: dict[str, str]) -> dict[str, object]:
        ids = [*encoder.encode_ordinary(record["text"]), encoder.eot_token]
        return {"ids": ids, "len": len(ids)}

    files = [str(file) for file in sorted(source.iterdir())]
    dataset = datasets.load_dataset("json", data_files=files, split="train", cache_dir=str(out / "cache"))
    dataset = dataset.map(process, remove_columns=["text"], num_proc=WORKERS)
    length = numpy.sum(dataset["len"], dtype=numpy.uint64)
    array = numpy.memmap(out / "tokens.bin", dtype=DTYPE, mode="w+", shape=(int(length),))
    n_batches, at = min(1024, len(dataset)), 0
    for index in range(n_batches):
        shard = dataset.shard(num_shards=n_batches, index=index, contiguous=True).with_format("numpy")
        batch = numpy.concatenate(shard["ids"])
        array[at : at + len(batch)] = batch
        at += len(batch)
    array.flush()


nanogpt_ids = megatron_ids

PEERS = {
    "datatrove": (datatrove, datatrove_ids),
    "Megatron-LM's scheme": (megatron, megatron_ids),
    "nanoGPT's script": (nanogpt, nanogpt_ids),
}

if __name__ == "__main__":
    name, source, tokenizer, out = sys.argv[1:]
    PEERS[name][0](Path(source), tokenizer, Path(out))
