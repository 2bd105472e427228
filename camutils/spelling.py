"""What a misspelt word may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str], count: int = 3) -> str:
    """"nearest: a, b; ", the likeliest spellings first, capitals aside; "" where nothing is near."""
    spelt = {k.lower(): k for k in reversed(list(known))}  # the first of two that differ in capitals only
    near = get_close_matches(word.lower(), spelt, count, 0.6)
    near += [k for k in spelt if len(word) > 2 and word.lower() in k and k not in near]
    return f"nearest: {', '.join(spelt[n] for n in near[:count])}; " if near else ""
