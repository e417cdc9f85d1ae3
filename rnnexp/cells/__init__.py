"""The table of cells. A new cell is one file here and one row below."""

from rnnexp.tables import MODES, Entry, Table

CELLS = Table(
    "cell",
    {
        "feedforward": Entry(
            "rnnexp.cells.feedforward:feedforward",
            "sees only the current input: the baseline without memory",
            MODES,
        ),
        "rnn": Entry(
            "rnnexp.cells.rnn:rnn",
            "Elman network: tanh, relu or linear; orthogonal or identity (IRNN) start",
            MODES,
        ),
        "lstm": Entry(
            "rnnexp.cells.lstm:lstm",
            "long short-term memory: forget bias, peepholes, chrono initialisation",
            MODES,
        ),
        "gru": Entry(
            "rnnexp.cells.gru:gru",
            "gated recurrent unit: reset gate before or after the recurrent product",
            MODES,
        ),
    },
)
