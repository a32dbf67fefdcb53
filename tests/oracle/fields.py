"""The fields of a tokenizer.json and the values that configurations.py tries for each."""

from typing import Any

# fmt: off
from models import (  # isort: skip
    ABSENT, FLAGS, Json, add_contents, add_tokens, add_unreachable, drop_merges, leave_holes,
    list_all_splits, lose_byte_tokens, lose_characters, mark_continuations, mark_ends,
    merge_of_three, merge_specials, merge_to_nothing, merge_unknown_part, merges_as_strings,
    merges_with_version, mixed_merges, random_tokens, repeat_merges, replace_model, share_an_id,
    shuffle_ids, shuffle_merges,
)
# fmt: on
from patterns import GPT2, LLAMA3, PATTERNS, QWEN2

BEHAVIORS = ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def filled(**fields: Any) -> Json:
    return {key: value for key, value in fields.items() if value is not ABSENT}


def split(
    pattern: str, behavior: str = "Isolated", invert: bool = False, kind: str = "Regex"
) -> Json:
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def literal(text: str, behavior: str = "Isolated", invert: bool = False) -> Json:
    return split(text, behavior, invert, "String")


def byte_level(prefix: Any = False, regex: Any = True, trim: Any = True) -> Json:
    return filled(type="ByteLevel", add_prefix_space=prefix, trim_offsets=trim, use_regex=regex)


def digits(individual: bool, **rest: Any) -> Json:
    return {"type": "Digits", "individual_digits": individual, **rest}


def punctuation(behavior: Any) -> Json:
    return filled(type="Punctuation", behavior=behavior)


def metaspace(
    scheme: Any = "first", split: Any = False, replacement: str = "▁", **rest: Any
) -> Json:
    return filled(
        type="Metaspace", replacement=replacement, prepend_scheme=scheme, split=split, **rest
    )


def sequence(*steps: Any) -> Json:
    return {"type": "Sequence", "pretokenizers": list(steps)}


def normalizers(*steps: Any) -> Json:
    return {"type": "Sequence", "normalizers": list(steps)}


def replace(pattern: str, content: str, kind: str = "String") -> Json:
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def prepend(text: str) -> Json:
    return {"type": "Prepend", "prepend": text}


def strip(left: bool, right: bool) -> Json:
    return {"type": "Strip", "strip_left": left, "strip_right": right}


def template(*pieces: str) -> Json:
    """A post-processor that puts these around a text; "A" is the text itself."""
    single = [
        {"Sequence" if piece == "A" else "SpecialToken": {"id": piece, "type_id": 0}}
        for piece in pieces
    ]
    special = {piece: {"id": piece, "ids": [1], "tokens": [piece]} for piece in pieces}
    special.pop("A", None)
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": single,
        "special_tokens": special,
    }


# fmt: off
NFC = {"type": "NFC"}
NORMALIZERS = [
    None, ABSENT, NFC, normalizers(), normalizers(NFC), {**NFC, "other": 1}, prepend("▁"),
    prepend(""), prepend("ab "), normalizers(prepend("▁"), replace(" ", "▁")),
    normalizers(replace(" ", "▁"), prepend("▁")), normalizers(prepend("▁"), NFC), replace(" ", "▁"),
    replace("ab", "x"), replace("\r\n", "\n"), replace("a", ""), replace("", "x"),
    replace("e", "\u0301"), replace("é", "e"), replace("▁", " "),
    normalizers(replace("a", "b"), replace("b", "aa")), replace(r"\s+", " ", "Regex"),
    replace("[0-9]", "0", "Regex"), replace("^ ", "", "Regex"), strip(True, True),
    strip(True, False), strip(False, True), strip(False, False),
    normalizers(strip(True, True), prepend("▁")),
    normalizers(prepend(" "), NFC, strip(False, True)),
    *({"type": kind}
      for kind in ("NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel")),
    {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
     "strip_accents": None, "lowercase": True}, {"type": "Other"}, {"type": "Prepend"},
    {"type": "Strip"}, {"prepend": "▁"}, {"normalizers": []}, normalizers({"type": "Other"}), [],
    "NFC",
]
STEPS = [
    *(literal("-", behavior, invert) for behavior in BEHAVIORS for invert in (False, True)),
    *(split(r"\s+(?!\S)|\s+", behavior, invert) for behavior in BEHAVIORS
      for invert in (False, True)), split(QWEN2, "Removed", True), split(QWEN2, "Isolated", True),
    split(QWEN2, "Contiguous"), literal(" ", "MergedWithPrevious"), literal("▁", "MergedWithNext"),
    literal("a.b"), literal(""), literal("\r\n"), split("[0-9]*"), split("("), split("^a|b$"),
    split(r"(?:\r?\n)+(?!\r?\n)", "MergedWithNext"), split("[0-9][0-9][0-9]"), digits(True),
    digits(False), punctuation(ABSENT), *map(punctuation, BEHAVIORS), {"type": "Whitespace"},
    {"type": "WhitespaceSplit"}, {"type": "BertPreTokenizer"}, {"type": "UnicodeScripts"},
    {"type": "CharDelimiterSplit", "delimiter": "-"}, {"type": "FixedLength", "length": 3},
]
PRE_TOKENIZERS = [
    None, ABSENT, sequence(), [], {"type": "Other"}, {"individual_digits": True},
    {"type": "Digits"},
    *(byte_level(prefix, regex) for prefix in (False, True) for regex in (True, False, ABSENT)),
    byte_level(ABSENT), byte_level(trim=ABSENT), byte_level(trim=False),
    {**byte_level(), "other": 1},
    *(sequence(*map(split, chain), byte_level(regex=False)) for chain in PATTERNS.values()),
    *(sequence(step, byte_level()) for step in STEPS),
    *(metaspace(scheme, split) for scheme in ("first", "never", "always")
      for split in (True, False, ABSENT)), metaspace(ABSENT),
    metaspace("never", add_prefix_space=False), metaspace(add_prefix_space=True),
    metaspace(add_prefix_space=False), metaspace(replacement="_"), metaspace(replacement="__"),
    metaspace(str_rep="x"), literal(" ", "MergedWithPrevious"), literal("▁", "MergedWithNext"),
    digits(True), split(LLAMA3),
    sequence(split(QWEN2), digits(True, other=1), byte_level(True, False)),
    sequence(digits(True), byte_level(True)), sequence(byte_level(), digits(True)),
    sequence(byte_level(), byte_level()), sequence(byte_level(True, False), split(GPT2)),
    sequence(split("[\r\n]"), split(GPT2, "Removed", True), byte_level(regex=False)),
    sequence(punctuation("Contiguous"), byte_level(), digits(False), split("[0-9][0-9][0-9]")),
    sequence(sequence(digits(True)), byte_level()), sequence(literal("-"), metaspace()),
    sequence(literal("-", "Removed"), metaspace()),
    sequence(metaspace("always"), literal("▁", "MergedWithNext")),
    sequence(metaspace(split=True), digits(True)), sequence(None),
]
# Each field and its values. One that is a function makes the change itself.
FIELDS: dict[str, list[Any]] = {
    "model.vocab": [
        shuffle_ids, leave_holes, share_an_id, lose_characters, lose_byte_tokens, add_unreachable,
        add_contents, ABSENT,
    ],
    "model.merges": [
        list_all_splits, shuffle_merges, repeat_merges, drop_merges, merge_specials,
        merges_as_strings, merges_with_version, mixed_merges, merge_unknown_part, merge_to_nothing,
        merge_of_three, [], ABSENT,
    ],
    "model.type": [ABSENT, "WordPiece", "Other"],
    "model.dropout": [None, 0, 0.0, 0.1, 1.0, 2.0, ABSENT],
    "model.unk_token": [None, "<unk>", "a", "missing", ABSENT],
    "model.fuse_unk": [True, False, None, ABSENT],
    "model.byte_fallback": [True, False, None, ABSENT],
    "model.ignore_merges": [True, False, ABSENT],
    "model.continuing_subword_prefix": [None, "", mark_continuations, ABSENT],
    "model.end_of_word_suffix": [None, "", mark_ends, "</w>", ABSENT],
    "model.other": [1],
    "normalizer": NORMALIZERS,
    "pre_tokenizer": PRE_TOKENIZERS,
    "added_tokens": [
        random_tokens, add_tokens("<x>", "<|endoftext|>"), add_tokens("<x>", "the", special=True),
        add_tokens("the", "<x>", id=7),
        *(add_tokens("<x>", "the", "12", "_", **{flag: True}) for flag in FLAGS),
        add_tokens("<x>", "s", lstrip=True, rstrip=True), add_tokens("<x>", "  ", rstrip=True),
        add_tokens("<x>", "ab", "", "<x>"), add_tokens("ab", "abc", "bcd", "abcd", "x>", "<x"),
        add_tokens("  ", "   ", "\n", "\n\n", "\t"),
        add_tokens("e\u0301", "K", "é", normalized=True), add_tokens("e\u0301", "\u212a", "e"),
        add_tokens("AB", "ab", normalized=True), add_tokens("a b", "▁the", "the ", normalized=True),
        add_tokens("<x>", lstrip=ABSENT), add_tokens("<x>", other=1), ABSENT,
    ],
    "post_processor": [
        None, byte_level(True), template("<s>", "A"), template("A", "</s>"),
        template("<s>", "A", "A"), template("<s>"), {"type": "Other"}, ABSENT,
        {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True,
         "add_prefix_space": False}, {"type": "BertProcessing", "sep": ["a", 1], "cls": ["b", 2]},
        {"sep": ["a", 1], "cls": ["b", 2]},
        {"type": "Sequence", "processors": [byte_level(), template("<s>", "A")]},
    ],
    "truncation": [
        {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0},
        {"max_length": 5}, ABSENT,
    ],
    "padding": [
        {"strategy": {"Fixed": 9}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 1,
         "pad_type_id": 0, "pad_token": "a"},
        {}, ABSENT,
    ],
    "decoder": [
        byte_level(), {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "BPEDecoder", "suffix": "</w>"}, {"type": "Other"}, ABSENT,
    ],
    "version": ["1.0", "1.1", "2.0", 1, ABSENT],
    "other": [None],
    "model": [
        replace_model(kind, typed)
        for kind in ("WordPiece", "WordLevel", "Unigram") for typed in (True, False)
    ],
}
# fmt: on
# How often a random configuration changes a field, so that most are files that HF loads.
WEIGHTS = {"pre_tokenizer": 6, "added_tokens": 8, "normalizer": 3, "model.merges": 3}
WEIGHTS |= {"model.vocab": 3, "model": 0.2, "other": 0.1, "version": 0.2, "model.dropout": 0.5}
