"""The table of tasks. A new task is one file here and one row below."""

from collections.abc import Callable
from typing import Any, NamedTuple

from rnnexp.core.registry import MODES, READING_MODES, Entry, Table

CONSTANT = {"optimizer.learning_rate": 5e-3}
COSINE = {"optimizer.learning_rate": 3e-3, "optimizer.schedule": "cosine"}
MNIST = {
    "train.batch_size": 100,
    "train.duration_epochs": 5,
    "eval.every_epochs": 1,
    "optimizer.learning_rate": 2e-3,
    "optimizer.schedule": "cosine",
}
NTM = {
    "train.batch_size": 32,
    "train.duration_steps": 10_000,
    "eval.every_steps": 500,
    "checkpoint.every_steps": 500,
    "cell.hidden_size": 100,
    "clip.threshold": 50.0,
}
"""Batch, clipping and size of Collier & Beel 2018, "Implementing neural Turing machines"; the rate
is the default."""
DIGITS = {
    "train.duration_epochs": 60,
    "eval.every_epochs": 10,
    "optimizer.learning_rate": 5e-3,
    "optimizer.schedule": "cosine",
}
MUSIC = {
    "train.batch_size": 16,
    "train.duration_epochs": 100,
    "eval.every_epochs": 2,
    "eval.batch_size": 16,
    "early_stopping.patience": 10,
    "optimizer.learning_rate": 3e-3,
}

STORIES = {
    "train.batch_size": 32,
    "train.duration_epochs": 100,
    "eval.every_epochs": 5,
    "optimizer.learning_rate": 5e-3,
}
GRAPHS = {
    "eval.batch_size": 256,
    "cell.hidden_size": 32,
    "optimizer.learning_rate": 3e-3,
}
FEW_GRAPHS = {
    "train.batch_size": 10,
    "train.duration_epochs": 200,
    "eval.every_epochs": 20,
    "eval.batch_size": 250,
    "cell.hidden_size": 8,
    "optimizer.learning_rate": 1e-2,
}
"""Batch and rate of Li et al. 2016, "Gated graph sequence neural networks", in their code."""
SERIES = {
    "train.batch_size": 32,
    "train.duration_epochs": 20,
    "eval.every_epochs": 1,
    "optimizer.learning_rate": 3e-3,
    "optimizer.schedule": "cosine",
}
KARATE = {
    "train.batch_size": 1,
    "train.duration_steps": 200,
    "eval.every_steps": 20,
    "eval.batch_size": 1,
    "cell.hidden_size": 34,
    "optimizer.learning_rate": 1e-2,
}
TO_ONE, ONE_TO_MANY, SYNCHRONOUS, ASYNCHRONOUS, STORY = READING_MODES
CUE, DENSITY, TO_NODE, TO_NODES, GRAPH_TO_ONE = MODES[len(READING_MODES) :]


class Row(NamedTuple):
    """A task: its mode, the defaults of an experiment on it, its file if not named like it, and
    its options that name a data file of the user's; other modes, of which its options choose."""

    summary: str
    mode: str
    defaults: dict[str, Any]
    file: str = ""
    data_options: tuple[str, ...] = ()
    other_modes: tuple[str, ...] = ()


ROWS = {
    "copy_memory": Row("recall 10 symbols after a delay", SYNCHRONOUS, CONSTANT),
    "adding": Row("add the two marked numbers of a long sequence", TO_ONE, CONSTANT),
    "mnist": Row(
        "classify MNIST digits row by row or pixel by pixel, in order or permuted", TO_ONE, MNIST
    ),
    "digits": Row(
        "classify scikit-learn's 8 x 8 digits pixel by pixel; needs no download", TO_ONE, DIGITS
    ),
    "digits_drawing": Row(
        "draw scikit-learn's 8 x 8 digits of a class pixel by pixel; needs no download",
        ONE_TO_MANY,
        DIGITS,
    ),
    "temporal_order": Row("in which order did the 2 or 3 relevant symbols come?", TO_ONE, CONSTANT),
    "delayed_xor": Row("the exclusive or of two bits, far apart in noise", TO_ONE, CONSTANT),
    "streaming_xor": Row(
        "in every step, the exclusive or of the bits one and two delays ago", SYNCHRONOUS, CONSTANT
    ),
    "parity": Row("whether a sequence of bits has an odd number of ones", TO_ONE, CONSTANT),
    "formal_language": Row(
        "regular languages, and reversed strings, learned from short strings and tested on long",
        TO_ONE,
        {"train.batch_size": 128},
        other_modes=(SYNCHRONOUS,),
    ),
    "associative_recall": Row("the value that was stored under a key", TO_ONE, CONSTANT),
    "selective_copy": Row(
        "recall symbols that came at unknown moments, in their order", SYNCHRONOUS, CONSTANT
    ),
    "ntm_copy": Row("write down a sequence of bit vectors after it was shown", SYNCHRONOUS, NTM),
    "repeat_copy": Row("write down a sequence of bit vectors so many times", SYNCHRONOUS, NTM),
    "item_recall": Row("the item that came after the one asked for", SYNCHRONOUS, NTM),
    "dynamic_ngrams": Row(
        "predict bits from a table that each sequence draws anew", SYNCHRONOUS, NTM
    ),
    "priority_sort": Row("write down bit vectors by their priorities", SYNCHRONOUS, NTM),
    "mackey_glass": Row(
        "predict a chaotic series with delay, one step ahead or running free", SYNCHRONOUS, COSINE
    ),
    "narma10": Row("a nonlinear moving average of order 10", SYNCHRONOUS, COSINE),
    "reverse": Row(
        "write a sequence of symbols backwards", ASYNCHRONOUS, {"optimizer.learning_rate": 3e-3}
    ),
    "sort": Row(
        "write a sequence of symbols in order", ASYNCHRONOUS, {"optimizer.learning_rate": 3e-3}
    ),
    "date_format": Row("write a free-form date as YYYY-MM-DD", ASYNCHRONOUS, COSINE),
    "addition": Row(
        "read two numbers digit by digit, write the digits of their sum", ASYNCHRONOUS, COSINE
    ),
    "translation": Row(
        "write the translation of a sentence in words; numbers in words, or a file of pairs",
        ASYNCHRONOUS,
        {**COSINE, "model.embedding_size": 32, "model.attention": "dot"},
        data_options=("path",),
    ),
    "jsb_chorales": Row("next frame of a piano roll: Bach's chorales", SYNCHRONOUS, MUSIC, "music"),
    "nottingham": Row("next frame of a piano roll: folk tunes", SYNCHRONOUS, MUSIC, "music"),
    "musedata": Row(
        "next frame of a piano roll: orchestral and piano music", SYNCHRONOUS, MUSIC, "music"
    ),
    "piano_midi": Row(
        "next frame of a piano roll: classical piano music", SYNCHRONOUS, MUSIC, "music"
    ),
    "char_lm": Row(
        "the next character of a text file; tiny Shakespeare by default",
        SYNCHRONOUS,
        {"optimizer.learning_rate": 2e-3, "optimizer.schedule": "cosine"},
        data_options=("file",),
    ),
    "word_lm": Row(
        "the next word of a text file; tiny Shakespeare by default",
        SYNCHRONOUS,
        {
            "model.embedding_size": 128,
            "optimizer.learning_rate": 2e-3,
            "optimizer.schedule": "cosine",
        },
        data_options=("file",),
    ),
    "series": Row(
        "your own time series from a file (CSV, NPZ, Parquet); without one a generated oscillator",
        TO_ONE,
        SERIES,
        data_options=("path",),
        other_modes=(SYNCHRONOUS,),
    ),
    "word2vec": Row(
        "the words around a word, by skip-gram with negative sampling",
        TO_ONE,
        {
            "train.batch_size": 256,
            "model.embedding_size": 128,
            "optimizer.learning_rate": 3e-3,
            "optimizer.schedule": "cosine",
        },
        data_options=("file",),
    ),
    "babi": Row(
        "answer questions about a short story: bAbI tasks 1 to 20, alone or together",
        STORY,
        STORIES,
    ),
    "chained_facts": Row(
        "follow a chain of facts, among others, to its end",
        STORY,
        {"optimizer.learning_rate": 5e-3},
    ),
    "pattern_recall": Row(
        "recall a stored pattern from a damaged cue: random signs, digits, MNIST",
        CUE,
        {
            "train.duration_steps": 200,
            "train.batch_size": 32,
            "eval.every_steps": 100,
            "eval.batch_size": 64,
            "optimizer.learning_rate": 3e-2,
        },
    ),
    "bars_and_stripes": Row(
        "the distribution of small pictures of bars or of stripes",
        DENSITY,
        {
            "train.duration_steps": 10_000,
            "train.batch_size": 28,
            "eval.every_steps": 1_000,
            "cell.hidden_size": 8,
            "optimizer.learning_rate": 1e-2,
            "optimizer.schedule": "cosine",
        },
    ),
    "binary_digits": Row(
        "the distribution of black and white digits: scikit-learn's 8 x 8, or MNIST",
        DENSITY,
        {
            "train.duration_epochs": 100,
            "train.batch_size": 100,
            "eval.every_epochs": 10,
            "eval.batch_size": 1_000,
            "cell.hidden_size": 16,
        },
    ),
    "neighbors_match": Row(
        "the value of the leaf that has the key of the root of a tree", GRAPH_TO_ONE, GRAPHS
    ),
    "cycle_or_path": Row("does a node lie on a cycle or on a path?", TO_NODES, GRAPHS),
    "shortest_path": Row("the nodes on a shortest path between two nodes", TO_NODES, GRAPHS),
    "babi_graph": Row(
        "questions about facts that are a graph: bAbI tasks 4, 15, 16, 18 and 19",
        TO_NODE,
        FEW_GRAPHS,
        other_modes=(GRAPH_TO_ONE,),
    ),
    "karate_club": Row(
        "the side that each member of a club took, from those of two (Zachary 1977)",
        TO_NODES,
        KARATE,
    ),
}

TASKS = Table(
    "task",
    {
        name: Entry(
            f"rnnexp.tasks.{row.file or name}:{name}",
            row.summary,
            (row.mode, *row.other_modes),
            row.defaults,
            row.data_options,
        )
        for name, row in ROWS.items()
    },
)
task: Callable[..., Any] = TASKS.register
"""Decorator: `@rnnexp.task("name", modes=("synchronous",))` adds a task factory `(*, ...)`."""
