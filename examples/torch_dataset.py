#!/usr/bin/env python3
"""Reads a shardmill dataset as training windows, with numpy alone.

`ShardDataset` has the two methods that `torch.utils.data.Dataset` asks for, so a `DataLoader` takes
it as it is: `DataLoader(ShardDataset("out", 256), batch_size=4)`.
"""

import argparse
import json
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

import numpy as np

DOCUMENT = np.dtype(
    [
        ("end_tokens", "<u8"),  # exclusive, within the shard
        ("byte_start", "<u8"),  # where this piece begins in its source
        ("byte_len", "<u8"),
        ("source", "<u4"),  # index into the manifest's sources
        ("flags", "<u4"),  # 1 began in an earlier shard, 2 continues in the next, 4 empty
    ]
)


class ShardDataset:
    """Windows of `seq_len` ids over all shards as one stream, with the ids one later as targets.

    A window starts every `stride` ids, by default where the one before it ends.
    """

    def __init__(self, directory: str | Path, seq_len: int, stride: int | None = None) -> None:
        stride = seq_len if stride is None else stride
        if seq_len < 1 or stride < 1:
            raise ValueError("seq_len and stride must be at least 1")
        self.directory = Path(directory)
        self.seq_len = seq_len
        self.stride = stride
        manifest = json.loads((self.directory / "manifest.json").read_text(encoding="utf-8"))
        self.files: list[str] = [shard["file"] for shard in manifest["shards"]]
        self.wide: bool = manifest["settings"]["token_dtype"] == "u32"
        self.shards = [self._map(s["file"], s["tokens"]) for s in manifest["shards"]]
        self.ends = list(accumulate(len(shard) for shard in self.shards))
        self.n_tokens = self.ends[-1] if self.ends else 0

    def _map(self, file: str, n_tokens: int) -> np.ndarray:
        if n_tokens == 0:  # an empty file cannot be mapped
            return np.empty(0, "<i4")
        ids = np.memmap(self.directory / file, "<u4" if self.wide else "<u2", mode="r")
        if len(ids) != n_tokens:
            raise ValueError(f"{file} holds {len(ids)} ids, the manifest says {n_tokens}")
        # torch lacks most operations on uint32; ids stay far below 2**31.
        return ids.view("<i4") if self.wide else ids

    def tokens(self, start: int, end: int) -> np.ndarray:
        """Ids `start..end` of the stream as int64, copied out of as many shards as they span."""
        out = np.empty(end - start, np.int64)
        filled = 0
        shard = bisect_right(self.ends, start)
        while filled < len(out):
            first = start + filled - (self.ends[shard] - len(self.shards[shard]))
            piece = self.shards[shard][first : first + len(out) - filled]
            out[filled : filled + len(piece)] = piece
            filled += len(piece)
            shard += 1
        return out

    def documents(self, shard: int) -> np.ndarray:
        """The records of one shard's documents; `["end_tokens"]` and the rest are arrays."""
        path = (self.directory / self.files[shard]).with_suffix(".docs")
        return np.fromfile(path, DOCUMENT)

    def __len__(self) -> int:
        return len(range(0, self.n_tokens - self.seq_len, self.stride))

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        start = index * self.stride
        ids = self.tokens(start, start + self.seq_len + 1)
        return ids[:-1], ids[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the first batch of a shardmill dataset.")
    parser.add_argument("dataset", type=Path, help="directory with manifest.json")
    parser.add_argument("--seq-len", type=int, default=256)
    parser.add_argument("--stride", type=int, help="default: seq-len")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--embeddings", type=Path, help="directory with embeddings.npy")
    args = parser.parse_args()

    dataset = ShardDataset(args.dataset, args.seq_len, args.stride)
    n_documents = sum(len(dataset.documents(i)) for i in range(len(dataset.shards)))
    print(f"{dataset.n_tokens} tokens, {n_documents} document records, {len(dataset)} windows")
    for start in range(0, len(dataset), args.batch_size):
        rows = [dataset[i] for i in range(start, min(start + args.batch_size, len(dataset)))]
        inputs, targets = (np.stack(column) for column in zip(*rows))
        if start == 0:
            print(f"inputs {inputs.shape}:\n{inputs}\ntargets {targets.shape}:\n{targets}")

    if args.embeddings:
        embeddings = np.load(args.embeddings / "embeddings.npy", mmap_mode="r")
        print(f"embeddings {embeddings.shape}, {embeddings.dtype}")


if __name__ == "__main__":
    main()
