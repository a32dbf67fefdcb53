"""The regular expressions with which the tokenizers of common models split text."""

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
LAST = r"|\s+(?!\S)|\s+"
CJK = "[一-龥぀-ゟ゠-ヿ]+"
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"


def cased(besides: str, end: str) -> str:
    """The two alternatives of o200k that end a word where the case changes."""
    prefix, upper, lower = r"[^\r\n\p{L}\p{N}]?", f"[{UPPER}{besides}]", f"[{LOWER}{besides}]"
    return f"{prefix}{upper}*{lower}+{end}|{prefix}{upper}+{lower}*{end}"


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = CONTRACTIONS + "|" + LETTERS + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACES
LLAMA3 = CONTRACTIONS + "|" + LETTERS + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACES
O200K_END = r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + SPACES
O200K = cased("", CONTRACTIONS + "?") + O200K_END
O200K_DIGIT = O200K.replace("{1,3}", "")
# The file of DeepSeek has a real carriage return and line feed in its classes.
DEEPSEEK = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^""" + "\r\n"
    r"""\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+""" + "[\r\n]*"
    r"""|\s*[""" + "\r\n" + r"""]+|\s+(?!\S)|\s+"""
)

# In the order in which each file applies them. Only gpt2's is that of `use_regex`.
PATTERNS = {
    "gpt2": [GPT2],
    "qwen2": [QWEN2],
    "llama3": [LLAMA3],
    "qwen3.5": [
        CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
        r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + SPACES
    ],
    "cl100k": [
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ],
    "ling": [
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]" + LAST
    ],
    "seed-coder": [CONTRACTIONS + "|" + LETTERS + r"|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+" + SPACES],
    "minicpm5": [r"\p{N}{1,3}", LLAMA3.replace("{1,3}", "+")],
    "ax-k2": [CJK, QWEN2],
    "jais2": [
        LLAMA3.removesuffix(LAST)
        + "".join(rf"|\s{{{n}}}(?!\S)" for n in (512, 256, 128, 64, 32, 16, 8, 4))
        + r"|\s{1,2}(?!\S)|\s{1}"
    ],
    "ufakzeka": [QWEN2.removeprefix(CONTRACTIONS + "|")],
    "o200k": [O200K],
    "tekken": [cased("", "") + O200K_END.replace("{1,3}", "")],
    "kimi": [
        r"[\p{Han}]+|"
        + cased(r"&&[^\p{Han}]", CONTRACTIONS + "?")
        + O200K_END.replace(r"[\r\n/]", r"[\r\n]")
    ],
    "cohere2": [r"\d{1,3}(?=(?:\d{3})*\b)", O200K],
    "youtu": ["[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" + CJK, O200K_DIGIT],
    "deepseek": [r"\p{N}{1,3}", CJK, DEEPSEEK],
    "spark": [DEEPSEEK.replace("[\r\n]*", "")],
    "deepseek-llm": [
        r"[\r\n]",
        r"\s?[A-Za-zµÀ-ÖØ-öø-ƺ]+",
        r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
        r"\s+$",
        "[一-龥ࠀ-一가-퟿]+",
    ],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"],
    "bloom": [r" ?[^(\s|[.,!?…。，、।۔،])]+"],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "exaone": [r"(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+"],
}
