"""Exact match and F1 of SQuAD, by the definition of its official evaluation script (version 2.0; 1.1 agrees)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(answer: str) -> str:
    """Lower case, without punctuation, articles and superfluous white space.

    Example:
        >>> normalised("The  Denver Broncos.")
        'denver broncos'
    """
    bare = re.sub(r"\b(a|an|the)\b", " ", answer.lower().translate(PUNCTUATION))
    return " ".join(bare.split())


def exact_match(answer: str, gold: Sequence[str]) -> float:
    """1 if the answer equals one of the right ones once normalised, else 0; without right ones, if it is empty."""
    return float(any(normalised(answer) == normalised(right) for right in _answers(gold)))


def f1(answer: str, gold: Sequence[str]) -> float:
    """The largest F1 over words of the answer and one of the right ones, in 0..1; without right ones, 1 if it is empty.

    Example:
        >>> f1("the Denver Broncos team", ["Broncos", "Denver Broncos"])
        0.8
    """
    return max(_overlap(normalised(answer).split(), normalised(right).split()) for right in _answers(gold))


def squad_metrics(answers: Sequence[str], gold: Sequence[Sequence[str]]) -> dict[str, float]:
    """Means of exact match and F1 in 0..1 over all questions, over those with an answer and over those without.

    Args:
        answers: n answers, "" for none.
        gold: n lists of right answers, empty where there is none.

    Example:
        >>> squad_metrics(["Broncos", ""], [["Denver Broncos", "Broncos"], []])["exact_match"]
        1.0
    """
    scores = {
        "exact_match": [exact_match(answer, right) for answer, right in zip(answers, gold, strict=True)],
        "f1": [f1(answer, right) for answer, right in zip(answers, gold, strict=True)],
    }
    groups = {"": [True] * len(gold), "has_answer_": [bool(g) for g in gold], "no_answer_": [not g for g in gold]}
    found = {}
    for prefix, members in groups.items():
        if any(members) and (prefix == "" or not all(members)):
            for name, values in scores.items():
                own = [value for value, member in zip(values, members, strict=True) if member]
                found[prefix + name] = sum(own) / len(own)
    return found


def _answers(gold: Sequence[str]) -> Sequence[str]:
    """The right answers that are not empty once normalised; the empty answer if there are none."""
    return [answer for answer in gold if normalised(answer)] or [""]


def _overlap(said: list[str], right: list[str]) -> float:
    if not said or not right:
        return float(said == right)
    common = sum((Counter(said) & Counter(right)).values())
    return 0.0 if common == 0 else 2 * common / (len(said) + len(right))
