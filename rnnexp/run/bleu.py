"""BLEU of what an encoder-decoder writes in words, by sacrebleu.

Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation"; Post 2018,
"A call for clarity in reporting BLEU scores". It is a corpus's: n-grams of 1 to 4 words are counted
over all sentences together. Words are those of the task, which sacrebleu takes as they are
(`tok:none`); a figure of another division into words is another figure.

A word that the vocabulary does not have is never right: the network can write only `<unk>` for it,
and that is no word of a reference.
"""

from collections.abc import Sequence

from rnnexp.data.words import UNKNOWN
from rnnexp.tasks.transduction import STOP

UNSEEN = f"{UNKNOWN}*"
"""Stands in a reference for a word that the vocabulary does not have; no network writes it."""
NEEDS = "BLEU needs sacrebleu: pip install 'rnnexp[bleu]'"


def corpus_bleu(written: Sequence[str], references: Sequence[str]) -> tuple[float | None, str]:
    """BLEU, 0 to 100, of texts with spaces between words, one reference each; and its signature.

    Without sacrebleu None, and a line that says how to get it.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError:
        return None, NEEDS
    metric = BLEU(tokenize="none", force=True)  # words are divided on purpose: no warning of it
    score = metric.corpus_score(list(written), [list(references)]).score
    return float(score), f"BLEU: sacrebleu {metric.get_signature()}"


def sentence(classes: Sequence[int], words: Sequence[str], *, unknown: str = UNKNOWN) -> str:
    """The words of classes up to the first stop symbol, with spaces between them.

    Args:
      unknown: written for the class of `<unk>`.
    """
    end = classes.index(STOP) if STOP in classes else len(classes)
    found = (words[number] for number in classes[:end])
    return " ".join(unknown if word == UNKNOWN else word for word in found)
