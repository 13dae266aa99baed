"""A made-up sentiment corpus whose truth is planted: every row says which kind of sentence it is.

    plain           0 the dialogue was stale .
    negation        1 critics did not find the sequel painful .
    contrast        0 a tiresome film despite the clever editing .
    intensity       1 my friends found that sequel deeply graceful .
    irrelevant      1 we saw it on a friday and we sat in row six ; the casting is subtle !
    rare            1 they found that ending lyricladen .
    near_duplicate  0 this dialogue was stale .
    flipped         0 a delightful remake despite the boring lighting .
    ambiguous       1 it was weak in parts and enjoyable in parts .

(rows of `generate("train", num_samples=1000)`: kind, label, sentence; 0 is negative, 1 is positive)

- Only sentiment words depend on the label; templates, nouns and neutral clauses are drawn without looking at it.
- contrast: the clause after `but`, or the main clause beside `although` and `despite`, decides.
- rare: the sentiment hangs on one tail word, which occurs 1 to 7 times in a split; tail words grow in number with
  the corpus (up to 4,800 rare rows per class, about 75,000 rows by default; beyond that they repeat).
- near_duplicate: a plain row once more with another article or end mark.
- flipped: a row of any kind above with the opposite label, which nothing but the `kind` column tells.
- ambiguous: good and bad in equal parts, and a label that has nothing to do with the text.

A sentence belongs to one split by a hash of its words without articles and end marks, whatever the seed and size: no
sentence of validation or test, nor a near duplicate of one, is in train (measured overlap: 0). Within a split sentences
are new as far as the grammar allows; evaluation splits above 10,000 rows begin to repeat themselves. Tail words come in
one order per seed: by default all those of an evaluation split of up to 0.9 times train's rows are in train.

Limits: this is a grammar, not English. "not dreadful" counts as praise, although a critic may mean less. Tail words are
stem plus suffix, many in no dictionary: opaque to a word-level tokenizer, while a sub-word one may read the stem and
find `rare` easier. Words and templates are uniform, not Zipfian: accuracies here say nothing about real reviews.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count, cycle, islice, repeat
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa

SPLITS: Final = ("train", "validation", "test")
MIN_SAMPLES: Final = 20  # below this most kinds would round to no row at all
CLEAN_KINDS: Final = ("plain", "negation", "contrast", "intensity", "irrelevant", "rare", "near_duplicate")
# Shares of the rows that are neither flipped nor ambiguous.
DEFAULT_SHARES: Final = dict(zip(CLEAN_KINDS, (0.30, 0.15, 0.15, 0.12, 0.10, 0.13, 0.05), strict=True))
KINDS: Final = (*CLEAN_KINDS, "flipped", "ambiguous")

NEGATIVE: Final = tuple(
    """dreadful boring dull bad poor awful terrible horrible weak lazy clumsy tedious bland stale shallow silly tiresome
    predictable lifeless pointless messy muddled hollow forgettable disappointing irritating annoying painful ugly crude
    sloppy dreary dismal mediocre flat tired unconvincing insipid ridiculous laughable""".split()
)
POSITIVE: Final = tuple(
    """wonderful superb excellent brilliant charming delightful engaging gripping moving clever funny fresh fine good
    great lovely beautiful elegant graceful inspired inventive touching thrilling enjoyable impressive memorable
    smart crisp stunning subtle tender vivid warm witty amusing bold sweet dazzling masterful refreshing""".split()
)
LEXICON: Final = (NEGATIVE, POSITIVE)  # indexed by label

_RARE_STEMS: Final = (
    """gloom murk drear squal sord rancid fetid putr vil odi noxi bale malign morbid macabr ghast grisl lugubr dolor
    lachrym woe grief angu torp languid leth stupor stodg turgid bombast pomp vacu fatu inan asin vapid jejun mawk
    treacl maudlin trit hackney shopworn slipshod slapdash shodd tawdr gaud garish grot ghoul abysm execr deplor lament
    atroc hein loath abhor repugn""".split(),
    """joy glee mirth grac lumin radi jubil felicit bliss zest verv mirac splend resplend lustr glor grand nobl val
    virtu candor merit laud prais ador enchant rapt ecst exult seren halcy mellifl harmon lyric sonor lucid limpid
    pellucid crystal gild aur honey nect ambros delect savor succul piqu sparkl scintill effulg refulg incandesc
    triumph sublim majest regal opul fervor acclaim""".split(),
)
_RARE_SUFFIXES: Final = (
    "ous ish esque ful some istic ine ary ive al ant able ic ical ent ory worthy bound soaked laden".split()
)

# A symbol in capitals is replaced by one of its productions, which `|` separates, until only words are left. SAME is a
# sentiment word of the sentence's own polarity and OTHER one of the opposite; TAIL is the tail word of the row.
_GRAMMAR_TEXT: Final = {
    "PLAIN": """DET NOUN BE SAME END | a SAME THING END | it COPULA a SAME THING END | WHO FOUND DET NOUN SAME END
        | DET WORK has a SAME STORY END""",
    "NEGATION": """DET NOUN BE not OTHER END | DET NOUN COPULA NEVER OTHER END | it COPULA NEVER a OTHER THING END
        | it COPULA not a OTHER THING END | WHO did not find DET NOUN OTHER END
        | no one could call DET NOUN OTHER END""",
    "CONTRAST": """the CRAFT BE OTHER , but the STORY BE SAME END | the STORY BE OTHER , but the CRAFT BE SAME END
        | although the CRAFT BE OTHER , the STORY BE SAME END | the CRAFT BE SAME , although the STORY BE OTHER END
        | despite the OTHER CRAFT , it COPULA a SAME WORK END | a SAME WORK despite the OTHER CRAFT END""",
    "INTENSITY": """a DEGREE SAME THING END | DET NOUN BE DEGREE SAME END | it COPULA a DEGREE SAME THING END
        | WHO FOUND DET NOUN DEGREE SAME END""",
    "IRRELEVANT": """BEFORE ; the NOUN BE SAME ; AFTER END | BEFORE ; WHO FOUND the NOUN SAME ; AFTER END
        | BEFORE and AFTER ; the NOUN BE SAME END | the NOUN BE SAME ; BEFORE and AFTER END""",
    "RARE": "DET NOUN BE TAIL END | a TAIL THING END | it COPULA a TAIL THING END | WHO FOUND DET NOUN TAIL END",
    "AMBIGUOUS": """DET NOUN BE SAME and OTHER END | a SAME and OTHER THING END
        | it was SAME in parts and OTHER in parts END | half of DET WORK was SAME and half was OTHER END
        | the CRAFT BE SAME and the STORY BE OTHER END""",
    "NOUN": "WORK | STORY | CRAFT",
    "THING": "WORK | STORY",
    "WORK": "film|movie|sequel|remake|comedy|drama|thriller|documentary|romance|western|musical|epic",
    "STORY": "plot|story|script|ending|scene|premise|finale|opening|twist|villain|hero|subplot",
    "CRAFT": "acting|dialogue|pacing|camerawork|editing|lighting|music|casting|animation|narration|humour|direction",
    "DET": "the | the | this | that",
    "END": ". | . | . | !",
    "BE": "was | is | felt | seemed",
    "COPULA": "was | is",
    "NEVER": "never | hardly | in no way",
    "WHO": "i | we | they | critics | audiences | most viewers | my friends",
    "FOUND": "found | considered | called",
    "DEGREE": "utterly|truly|really|very|extremely|deeply|quite|rather|fairly|totally|absolutely",
    "BEFORE": "we saw it on a DAY | my PERSON bought the tickets | the screening began at NUMBER",
    "AFTER": "we sat in row NUMBER | it runs for NUMBER minutes | it was shot in CITY | my PERSON wore a coat",
    "DAY": "monday|tuesday|wednesday|thursday|friday|saturday|sunday",
    "PERSON": "sister|brother|cousin|neighbour|uncle|aunt|colleague",
    "CITY": "london|paris|toronto|madrid|berlin|dublin|oslo|vienna|lisbon|prague",
    "NUMBER": "six | seven | eight | nine | ten | eleven | twelve",
}
T = TypeVar("T")
Rules = Mapping[str, tuple[str, ...]]
_GRAMMAR: Final[Rules] = {name: tuple(map(str.strip, text.split("|"))) for name, text in _GRAMMAR_TEXT.items()}

_HOMES: Final = ("validation", "test", "train", "train", "train")  # the split of a sentence, by hash of its words
_ARTICLES: Final = ("the", "this", "that")
_END_MARKS: Final = (".", "!")
_PATIENCE: Final = 50  # redraws before a sentence may repeat an earlier one: a small grammar must not loop for ever


def generate(
    split: str,
    *,
    num_samples: int | Mapping[str, int],
    seed: int = 0,
    flipped: float = 0.06,
    ambiguous: float = 0.06,
    shares: Mapping[str, float] | None = None,
) -> pa.Table:
    """Write one split of the corpus; the same arguments give the same table.

    Args:
        split: one of SPLITS. Validation and test are clean: `flipped` and `ambiguous` do not apply to them, and the
            share of near_duplicate goes to plain.
        num_samples: rows of the table, at least MIN_SAMPLES; or rows of each split by its name.
        seed: picks the sentences and the order of the rows; each split has a stream of its own.
        flipped: share of the rows with an inverted label; the count is rounded.
        ambiguous: share of the rows with an undecidable sentence; rounded too, and at most 0.5 together with flipped.
        shares: CLEAN_KINDS to shares of the remaining rows, and of the flipped ones; what they leave goes to plain.
            The default is DEFAULT_SHARES.

    Returns:
        Columns sentence (string), label (int64, 0 negative, 1 positive), kind (string, one of KINDS), rows shuffled.
        Each kind is half negative, half positive, give or take one row.

    Raises:
        ValueError: if an argument is out of its range, a kind is unknown, the shares sum over 1, or there are too few
            plain rows to make near duplicates of.

    Example:
        >>> table = generate("train", num_samples=1000)
        >>> table.column_names, table["kind"].to_pylist().count("flipped")
        (['sentence', 'label', 'kind'], 60)
    """
    mix = _checked_mix(DEFAULT_SHARES if shares is None else shares)
    size = num_samples.get(split, 0) if isinstance(num_samples, Mapping) else num_samples
    _check_sizes(split, size, seed, flipped, ambiguous)
    if split != "train":
        flipped = ambiguous = 0.0
        mix = {**mix, "plain": mix["plain"] + mix["near_duplicate"], "near_duplicate": 0.0}
    plan = _plan(size, round(size * flipped), round(size * ambiguous), mix)
    uniforms = _uniforms(seed, SPLITS.index(split))
    sentences = _write(plan, split, seed, uniforms)
    rows = [(sentences[i], 1 - i % 2 if kind == "flipped" else i % 2, kind) for i, (kind, _) in enumerate(plan)]
    schema = pa.schema([("sentence", pa.string()), ("label", pa.int64()), ("kind", pa.string())])
    return pa.table([list(column) for column in zip(*_shuffled(rows, uniforms), strict=True)], schema=schema)


def rare_words(label: int) -> tuple[str, ...]:
    """List every tail word of one polarity, in no order of frequency.

    Args:
        label: 0 negative, 1 positive.

    Returns:
        Words that are neither in NEGATIVE nor in POSITIVE.
    """
    words = (stem + suffix for stem in _RARE_STEMS[label] for suffix in _RARE_SUFFIXES)
    return tuple(word for word in words if word not in NEGATIVE and word not in POSITIVE)


def split_key(sentence: str) -> str:
    """Return what a sentence shares with its near duplicates: its words without articles and end marks."""
    return " ".join(word for word in sentence.split() if word not in (*_ARTICLES, *_END_MARKS))


def _checked_mix(shares: Mapping[str, float]) -> dict[str, float]:
    unknown = sorted(set(shares) - set(CLEAN_KINDS))
    if unknown:
        raise ValueError(f"shares: unknown kinds {unknown}; known are {CLEAN_KINDS}, the noise has its own arguments")
    if not all(0 <= share <= 1 for share in shares.values()) or sum(shares.values()) > 1 + 1e-9:
        raise ValueError(f"shares must be in 0..1 and sum to at most 1, got {dict(shares)}")
    mix = {kind: float(shares.get(kind, 0.0)) for kind in CLEAN_KINDS}
    mix["plain"] += max(0.0, 1 - sum(mix.values()))
    return mix


def _check_sizes(split: str, num_samples: int, seed: int, flipped: float, ambiguous: float) -> None:
    if split not in SPLITS:
        raise ValueError(f"split must be one of {SPLITS}, got {split!r}")
    if num_samples < MIN_SAMPLES:
        raise ValueError(f"num_samples must be at least {MIN_SAMPLES}, got {num_samples}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    if not (flipped >= 0 and ambiguous >= 0 and flipped + ambiguous <= 0.5):
        raise ValueError(f"flipped and ambiguous must be 0 or more, at most 0.5 together, got {flipped}, {ambiguous}")


def _plan(num_samples: int, flipped: int, ambiguous: int, mix: Mapping[str, float]) -> list[tuple[str, str]]:
    """List (kind, form) of every row, plain first; the row's index modulo 2 is its polarity."""
    clean = _apportion(num_samples - flipped - ambiguous, mix)
    noise = _apportion(flipped, mix)
    if clean["near_duplicate"] + noise["near_duplicate"] and clean["plain"] < 2:
        raise ValueError(
            f"near_duplicate needs 2 or more plain rows to copy, got {clean['plain']}; raise plain's share"
        )
    plan = [(kind, kind) for kind in CLEAN_KINDS for _ in range(clean[kind])]
    plan += [("flipped", kind) for kind in CLEAN_KINDS for _ in range(noise[kind])]
    return plan + [("ambiguous", "ambiguous")] * ambiguous


def _apportion(total: int, mix: Mapping[str, float]) -> dict[str, int]:
    """Split `total` by the largest remainders of `total * share`; the shares sum to 1."""
    counts = {kind: int(total * share + 1e-9) for kind, share in mix.items()}
    by_remainder = sorted(mix, key=lambda kind: counts[kind] - total * mix[kind])
    for kind in by_remainder[: total - sum(counts.values())]:
        counts[kind] += 1
    return counts


def _write(plan: list[tuple[str, str]], split: str, seed: int, uniforms: Iterator[float]) -> list[str]:
    num_tails = Counter(row % 2 for row, (_, form) in enumerate(plan) if form == "rare")
    tails = [iter(_tail(label, num_tails[label], seed, uniforms)) for label in (0, 1)]
    rules = [{**_GRAMMAR, "SAME": LEXICON[label], "OTHER": LEXICON[1 - label]} for label in (0, 1)]
    num_plain = sum(kind == "plain" for kind, _ in plan)
    originals = [cycle(range(label, num_plain, 2)) for label in (0, 1)]
    sentences: list[str] = []
    seen: set[str] = set()
    for row, (_, form) in enumerate(plan):
        label = row % 2
        if form == "near_duplicate":
            sentences.append(_shuffled(_variants(sentences[next(originals[label])]), uniforms)[0])
            continue
        if form == "rare":
            rules[label]["TAIL"] = (next(tails[label]),)
        # The text of an ambiguous row must not know the label, which is the parity of the row.
        meant = int(next(uniforms) * 2) if form == "ambiguous" else label
        sentences.append(_fresh(form.upper(), rules[meant], split, uniforms, seen))
    return sentences


def _fresh(start: str, rules: Rules, split: str, uniforms: Iterator[float], seen: set[str]) -> str:
    """Expand until the sentence lives in `split` and, as far as the grammar allows, is new; add it to `seen`."""
    for tries in count():
        sentence = re.sub(r"\ba (?=[aeiou])", "an ", _expand(start, rules, uniforms))
        key = split_key(sentence)
        if _HOMES[zlib.crc32(key.encode()) % len(_HOMES)] == split and (key not in seen or tries >= _PATIENCE):
            seen.add(key)
            break
    return sentence


def _expand(text: str, rules: Rules, uniforms: Iterator[float]) -> str:
    return " ".join(
        _expand(rules[word][int(next(uniforms) * len(rules[word]))], rules, uniforms) if word in rules else word
        for word in text.split()
    )


def _variants(sentence: str) -> list[str]:
    """List the sentence with every other first article and end mark."""
    body = sentence[:-2]
    bodies = {re.sub(r"\b(the|this|that)\b", article, body, count=1) for article in _ARTICLES}
    return sorted({f"{body} {mark}" for body in bodies for mark in _END_MARKS} - {sentence})


def _tail(label: int, size: int, seed: int, uniforms: Iterator[float]) -> list[str]:
    """Deal `size` tail words, the j-th one of the seed's list 1 + j % 7 times; the splits of a seed share the list."""
    words = _shuffled(rare_words(label), _uniforms(seed, len(SPLITS), label))
    dealt = chain.from_iterable(repeat(word, 1 + rank % 7) for rank, word in enumerate(cycle(words)))
    return _shuffled(list(islice(dealt, size)), uniforms)  # else the flipped rows would own the last words


def _shuffled(items: Sequence[T], uniforms: Iterator[float]) -> list[T]:
    keys = list(islice(uniforms, len(items)))
    return [items[i] for i in sorted(range(len(items)), key=keys.__getitem__)]


def _uniforms(seed: int, *stream: int) -> Iterator[float]:
    """Yield numbers in [0, 1) for ever; drawn in blocks, which is ten times faster than one by one."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=stream)))
    while True:
        yield from rng.random(4096).tolist()
