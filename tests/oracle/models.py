"""Small vocabularies for configurations.py, and the ways in which it makes them odd."""

import itertools
import random
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Vocab = dict[str, int]
Merges = list[list[str]]
Change = Callable[[random.Random, Json], None]

ABSENT = object()  # as a value: the key is left out
FLAGS = ["single_word", "lstrip", "rstrip", "normalized", "special"]

# fmt: off
# Texts are made of these. Each is there for a rule: white space, digits, case, marks, normalization
# (also of characters newer than Unicode 9), characters of no class in DeepSeek's pattern (the
# zero-width joiner, control, private, unassigned), and what looks like a token of the file.
ATOMS = [
    *" \t\n\r\0\1\x1c\x85\xa0\u2028\u3000\u200b\u200d\ufeff\ufffd\ue000\u0378", "  ", "   ", "\r\n",
    "\n\n", "\u200d\u200d", "\u200d\1", *"absxABKS", "ab", "abc", "abcd", "the", "The", "THE",
    "don't", "I'LL", "'s", "'S", "'ſ", "'re", "it's", "ss", "ß", "ẞ", *"107²½Ⅷ٣一", "12", "123",
    "1234", "1234567", "\U00011de0", "\U00016ff4", "3.14", "1,000", *"éǅʰªİſﬁ①", "e\u0301",
    "\u0301", "a\u0307\u0323", "\u212a", "\u212b", "\u0958", "\u0344", "각", "가\u11a8",
    "\u1100\u1161\u11a8", "\U00011935\U00011930", "a\u0315\u0898", "日本", "の", "カ\u3099", "한국어",
    "中文12", "हिन्दी", "ไทย", "العربية", "Привет", "Ωμέγα", "🙂", "👩\u200d👩\u200d👧", "🇺🇳", "👍🏽",
    *"_-/\\\"'#$+.,!?<>|=~^。，…“", "--", "...", "!?\n", "//", "</", "```", "x = y;\n", "\n    ",
    *"▁ĠĊ", "▁▁", "▁a", "##a", "a</w>", "<0x0A>", "<unk>", "<s>", "<x>", "<x", "x>",
    "<|endoftext|>", "a.b", "\u2e5d",
]
WORDS = (
    "the other then there these that than an and band hand sand this is his it its in bring ring "
    "der die das là été 12 123 1234 日本語 日本 한국 когда как"
).split()
# What added tokens look like, and strings that are both in a vocabulary and added.
CONTENTS = [
    "<x>", "<|endoftext|>", "<s>", "<unk>", "<think>", "<x", "x>", "ab", "abc", "the", "The",
    " the", "the ", "s", "1", "12", " ", "  ", "   ", "\n", "\n\n", "\t", "a b", "é", "e\u0301",
    "\u0301", "e", "\u212a", "K", "AB", "日本", "本", "▁", "▁▁", "▁the", "Ġ", "Ġthe", "<0x0A>", "🙂",
    "_", "-", "'s", "\u200d",
]
# fmt: on

SHOWN = [*range(33, 127), *range(161, 173), *range(174, 256)]
HIDDEN = [byte for byte in range(256) if byte not in SHOWN]
# The character that stands for each byte in byte-level vocabularies.
BYTE_LEVEL = {b: chr(b) for b in SHOWN} | {b: chr(256 + i) for i, b in enumerate(HIDDEN)}


def bytes_shown(text: str) -> str:
    return "".join(BYTE_LEVEL[byte] for byte in text.encode())


def spaces_shown(text: str) -> str:
    return text.replace(" ", "▁")


def add(vocab: Vocab, token: str) -> None:
    if token not in vocab:
        vocab[token] = max(vocab.values(), default=-1) + 1


def grow(rng: random.Random, vocab: Vocab, shown: Callable[[str], str]) -> Merges:
    """Adds words to a vocabulary, each by merges of two random parts."""
    merges: Merges = []

    def build(piece: str) -> None:
        if len(piece) > 1 and piece not in vocab:
            at = rng.randint(1, len(piece) - 1)
            parts = [piece[:at], piece[at:]]
            for part in parts:
                build(part)
            if all(part in vocab for part in parts):
                vocab[piece] = len(vocab)
                merges.append(parts)

    for _ in range(60):
        before = rng.choice(["", " ", " ", rng.choice(ATOMS)])
        build(shown(before + rng.choice(WORDS)))
    return merges


def byte_level_model(rng: random.Random) -> Json:
    vocab = {character: i for i, character in enumerate(BYTE_LEVEL.values())}
    return model(vocab, grow(rng, vocab, bytes_shown), None)


def sentencepiece_model(rng: random.Random) -> Json:
    """Byte tokens, half of the characters of the texts, and words with the word marker."""
    characters = {c for text in ATOMS + WORDS for c in text} - {" ", "\n", "\0"}
    some = [c for c in sorted(characters) if c.isascii() or rng.random() < 0.5]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *some]
    vocab = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    return model(vocab, grow(rng, vocab, spaces_shown), "<unk>")


def model(vocab: Vocab, merges: Merges, unknown: str | None) -> Json:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": unknown is not None,
        "byte_fallback": unknown is not None,
        "ignore_merges": False,
        "vocab": vocab,
        "merges": merges,
    }


def changes_model(change: Callable[[random.Random, Vocab, Merges], None]) -> Change:
    return lambda rng, file: change(rng, file["model"]["vocab"], file["model"]["merges"])


def lose(vocab: Vocab, merges: Merges, lost: list[str]) -> None:
    for token in lost:
        vocab.pop(token, None)
    merges[:] = [m for m in merges if m[0] in vocab and m[1] in vocab and "".join(m) in vocab]


@changes_model
def shuffle_ids(rng: random.Random, vocab: Vocab, merges: Merges) -> None:
    vocab.update(zip(list(vocab), rng.sample(range(len(vocab)), len(vocab)), strict=True))


@changes_model
def leave_holes(rng: random.Random, vocab: Vocab, merges: Merges) -> None:
    ids = itertools.accumulate(rng.choice([1, 1, 2, 7]) for _ in vocab)
    vocab.update(zip(list(vocab), ids, strict=True))


@changes_model
def share_an_id(rng: random.Random, vocab: Vocab, merges: Merges) -> None:
    one, other = rng.sample(list(vocab), 2)
    vocab[one] = vocab[other]


@changes_model
def lose_characters(rng: random.Random, vocab: Vocab, merges: Merges) -> None:
    characters = [token for token in vocab if len(token) == 1]
    lose(vocab, merges, rng.sample(characters, 12) + rng.sample("abenst", 2))


@changes_model
def lose_byte_tokens(rng: random.Random, vocab: Vocab, merges: Merges) -> None:
    lost = [0x0A, 0x31, 0xC3, 0xE6, *rng.sample(range(256), 3)]
    lose(vocab, merges, [f"<0x{byte:02X}>" for byte in lost])


@changes_model
def add_unreachable(rng: random.Random, vocab: Vocab, merges: Merges) -> None:
    for token in ["<｜begin▁of▁sentence｜>", "   ", "Ġthe", "▁the", *rng.sample(CONTENTS, 6)]:
        add(vocab, token)


def pairs(file: Json) -> Merges:
    return [m for m in file["model"]["merges"] if isinstance(m, list) and len(m) == 2]


def mark_continuations(rng: random.Random, file: Json) -> None:
    """Gives each token a form with `##`. With other merges, HF's behavior is undefined."""
    for token in list(file["model"]["vocab"]):
        add(file["model"]["vocab"], "##" + token)
    merges = [[first + left, "##" + right] for left, right in pairs(file) for first in ("", "##")]
    file["model"] |= {"continuing_subword_prefix": "##", "merges": merges}


def mark_ends(rng: random.Random, file: Json) -> None:
    """Gives each token a form with `</w>`."""
    for token in list(file["model"]["vocab"]):
        add(file["model"]["vocab"], token + "</w>")
    merges = [[left, right + last] for left, right in pairs(file) for last in ("", "</w>")]
    file["model"] |= {"end_of_word_suffix": "</w>", "merges": merges}


@changes_model
def add_contents(rng: random.Random, vocab: Vocab, merges: Merges) -> None:
    for token in rng.sample(CONTENTS, 12):
        add(vocab, token)


@changes_model
def merge_specials(rng: random.Random, vocab: Vocab, merges: Merges) -> None:
    """Merges whose parts are the unknown token or byte tokens."""
    special = ["<unk> <unk>", "a <unk>", "<0xC3> <0xA9>", "a <0x0A>", "<0xE6> a", "<s> a"]
    for pair in map(str.split, special):
        for token in (*pair, "".join(pair)):
            add(vocab, token)
        merges.insert(rng.randint(0, len(merges)), pair)


@changes_model
def list_all_splits(rng: random.Random, vocab: Vocab, merges: Merges) -> None:
    """As in Llama-3.1: each way to split a token into two tokens is a merge."""
    for token in vocab:
        for at in range(1, len(token)):
            pair = [token[:at], token[at:]]
            if pair[0] in vocab and pair[1] in vocab and pair not in merges:
                merges.append(pair)


@changes_model
def shuffle_merges(rng: random.Random, vocab: Vocab, merges: Merges) -> None:
    rng.shuffle(merges)


@changes_model
def repeat_merges(rng: random.Random, vocab: Vocab, merges: Merges) -> None:
    for merge in rng.sample(merges, len(merges) // 4):
        merges.insert(rng.randint(0, len(merges)), list(merge))


@changes_model
def drop_merges(rng: random.Random, vocab: Vocab, merges: Merges) -> None:
    merges[:] = [merge for merge in merges if rng.random() < 0.8]


@changes_model
def merge_unknown_part(rng: random.Random, vocab: Vocab, merges: Merges) -> None:
    merges.append(["a", "missing"])


@changes_model
def merge_to_nothing(rng: random.Random, vocab: Vocab, merges: Merges) -> None:
    merges.append(["z", "q"])


@changes_model
def merge_of_three(rng: random.Random, vocab: Vocab, merges: Merges) -> None:
    merges.append(["a", "b", "c"])


def merges_as_strings(rng: random.Random, file: Json) -> None:
    file["model"]["merges"] = [" ".join(merge) for merge in file["model"]["merges"]]


def merges_with_version(rng: random.Random, file: Json) -> None:
    merges_as_strings(rng, file)
    file["model"]["merges"].insert(rng.randint(0, 3), "#version: 0.2")


def mixed_merges(rng: random.Random, file: Json) -> None:
    file["model"]["merges"][0] = " ".join(file["model"]["merges"][0])


def replace_model(kind: str, typed: bool) -> Change:
    """Another kind of model; if its type is not written, its fields tell."""

    def change(rng: random.Random, file: Json) -> None:
        tokens = ["<unk>", "a", "b", "the", "##b", "▁", "▁the", "1"]
        made: Json = {"type": kind} if typed else {}
        if kind == "Unigram":
            made |= {"unk_id": 0, "vocab": [[token, -float(i)] for i, token in enumerate(tokens)]}
            made |= {"byte_fallback": False}
        else:
            made |= {"unk_token": "<unk>", "vocab": {token: i for i, token in enumerate(tokens)}}
        if kind == "WordPiece":
            made |= {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
        file["model"] = made

    return change


def add_tokens(*contents: str, id: int | None = None, **flags: Any) -> Change:
    """Adds tokens; those without an id get the one that HF assigns (number_tokens)."""

    def change(rng: random.Random, file: Json) -> None:
        for content in contents:
            token = {"id": id, "content": content, **dict.fromkeys(FLAGS, False), **flags}
            file["added_tokens"].append({k: v for k, v in token.items() if v is not ABSENT})

    return change


def random_tokens(rng: random.Random, file: Json) -> None:
    for content in rng.sample(CONTENTS, rng.randint(1, 6)):
        add_tokens(content, **{flag: rng.random() < 0.25 for flag in FLAGS})(rng, file)


def number_tokens(file: Json) -> None:
    """HF does not read the ids of added tokens: one is its id in the vocabulary, or the next."""
    vocab = file["model"].get("vocab") or {}
    size = len(vocab)
    if isinstance(vocab, list):
        vocab = {token: i for i, (token, _) in enumerate(vocab)}
    new: Vocab = {}
    for token in file.get("added_tokens") or []:
        content = token["content"]
        if content not in vocab and content and token["id"] is None:
            new.setdefault(content, size + len(new))
        if token["id"] is None:
            token["id"] = vocab.get(content, new.get(content, size))
