"""A study's table as text, Markdown, LaTeX and HTML, and the table of several studies."""

import html
import math
from collections.abc import Sequence
from pathlib import Path

from rnnexp.core.errors import UsageError
from rnnexp.study.assess import Assessment, Row, headline
from rnnexp.study.claims import (
    Bound,
    Claim,
    Comparable,
    NotComparable,
    Ordering,
    Rate,
    Study,
    Updates,
)
from rnnexp.study.store import Stored
from rnnexp.study.verdict import (
    DOES_NOT,
    HOLDS,
    NOT_COMPARABLE,
    NOT_REPRODUCED,
    REPRODUCED,
    UNDECIDED,
)

COLUMNS = ("claim", "published", "ours", "95 % interval", "n", "verdict")
NOTHING = "-"
ENDINGS = (".json", ".md", ".tex", ".html")
Table = list[dict[str, str]]


def rows_of(found: Assessment) -> Table:
    """The table of a study, a row a claim, as text."""
    return [_row(row) for row in found.rows]


def _row(row: Row) -> dict[str, str]:
    verdict = row.verdict
    interval = NOTHING
    if verdict.low is not None and verdict.high is not None:
        interval = f"[{figure(verdict.low)}, {figure(verdict.high)}]"
    words = [verdict.word, verdict.detail]
    if verdict.seeds is not None:
        words.append(f"{verdict.seeds} seeds would decide")
    elif verdict.word == UNDECIDED and verdict.low is not None:
        words.append("no number of seeds would decide at this estimate")
    texts = (
        row.claim.name,
        _published(row.claim),
        NOTHING if verdict.value is None else figure(verdict.value),
        interval,
        str(verdict.n) if verdict.n else NOTHING,
        ": ".join([words[0], "; ".join(word for word in words[1:] if word)]).removesuffix(": "),
    )
    return dict(zip(COLUMNS, texts, strict=True))


def _published(claim: Claim) -> str:
    """What the paper says, with our margin."""
    value, margin = claim.reference.value, getattr(claim, "margin", None)
    match claim:
        case Ordering():
            return " and ".join(f"{a} better than {b}" for a, b in claim.pairs)
        case Comparable():
            first, second = claim.groups
            return f"{first} = {second} ± {figure(claim.margin.value)}"
        case Bound():
            return (
                f"≤ {figure(claim.at_most)}"
                if claim.at_most is not None
                else (f"≥ {figure(claim.at_least or 0.0)}")
            )
    if value is None:
        return NOTHING
    text = figure(value)
    if isinstance(claim, NotComparable) or margin is None:
        return text
    factor = isinstance(claim, Updates) or getattr(claim, "logarithm", False)
    kind = "rate " if isinstance(claim, Rate) else ""
    within = f", factor {figure(margin.value)}" if factor else f" ± {figure(margin.value)}"
    return f"{kind}{text}{within}"


def figure(value: float) -> str:
    """Four significant digits."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.4g}"


def legend(found: Assessment) -> list[str]:
    """What a reader of the table must know: counts, deviations, margins, sources, the hash."""
    study = found.study
    lines = headline(found)
    if found.stored_hash and found.stored_hash != found.claims_hash:
        lines.append(
            f"THE CLAIMS HAVE CHANGED since these values were stored: {found.stored_hash} then, "
            f"{found.claims_hash} now"
        )
    lines += [f"deviation from the paper: {text}" for text in study.deviations]
    of_claims: dict[str, list[str]] = {}
    for claim in study.claims:
        for text in claim.deviations:
            of_claims.setdefault(text, []).append(claim.name)
    lines += [f"deviation of {_some(names)}: {text}" for text, names in of_claims.items()]
    lines += list(study.notes)
    lines += reasons(study)
    if found.runs:
        lines.append(f"{found.runs} trainings, {found.hours:.2f} hours")
    return [*lines, f"claims {found.claims_hash}"]


def reasons(study: Study) -> list[str]:
    """The margins' reasons and the sources, each once with the claims that have it."""
    lines: dict[str, list[str]] = {}
    for claim in study.claims:
        if (margin := getattr(claim, "margin", None)) is not None:
            lines.setdefault(f"margin {figure(margin.value)}: {margin.reason}", []).append(
                claim.name
            )
        reference = claim.reference
        convention = f", {reference.convention}" if reference.convention else ""
        source = f"source [{reference.mark}]: {reference.source}{convention}"
        lines.setdefault(source, []).append(claim.name)
    every = len(study.claims)
    return [
        text if len(names) == every else f"{text} ({_some(names)})" for text, names in lines.items()
    ]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 2 else f"{names[0]} and {len(names) - 1} more"


def title_of(study: Study) -> str:
    """Paper and table."""
    return f"{study.paper}: {study.table}"


def markdown(found: Assessment) -> str:
    """The table and its legend as Markdown."""
    table = markdown_table(rows_of(found))
    notes = "\n".join(f"- {line}" for line in legend(found))
    return f"## {title_of(found.study)}\n\n{table}\n\n{notes}\n"


def markdown_table(rows: Table) -> str:
    """Rows with equal keys as a Markdown table, without the last line break."""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *(list(row.values()) for row in rows)]
    return "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )


def latex(found: Assessment) -> str:
    """The table for `booktabs`, with the legend as comments."""
    heads = " & ".join(_tex(name) for name in COLUMNS)
    body = "\n".join(
        " & ".join(_tex(cell) for cell in row.values()) + r" \\" for row in rows_of(found)
    )
    notes = "\n".join(f"% {line}" for line in legend(found))
    return (
        f"% {title_of(found.study)}\n{notes}\n\\begin{{tabular}}{{lrrrrl}}\n\\toprule\n"
        f"{heads} \\\\\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
    )


def _tex(text: str) -> str:
    """Text with LaTeX's own characters escaped."""
    special = {c: f"\\{c}" for c in "&%$#_{}"} | {
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        "±": r"$\pm$", "≤": r"$\le$", "≥": r"$\ge$",
        "∞": r"$\infty$", "λ": r"$\lambda$", "→": r"$\to$",
    }  # fmt: skip
    return "".join(special.get(character, character) for character in text)


STYLE = """
:root { color-scheme: light dark; --good: #1b7a3d; --bad: #b3261e; --open: #8a6d00; }
@media (prefers-color-scheme: dark) { :root { --good: #6fce8f; --bad: #ff8f86; --open: #e2c04c; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid #8886; vertical-align: top; }
th { text-align: left; }
td:nth-child(2) { min-width: 9rem; }
td:nth-child(3), td:nth-child(4), td:nth-child(5) { white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .open { color: var(--open); }
"""
LOOKS = {
    REPRODUCED: "good", HOLDS: "good", NOT_REPRODUCED: "bad", DOES_NOT: "bad", UNDECIDED: "open",
    NOT_COMPARABLE: "none",
}  # fmt: skip


def page(found: Assessment) -> str:
    """The table and its legend as one HTML page that needs no network."""
    title = html.escape(title_of(found.study))
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in COLUMNS)
    body = ""
    for row, cells in zip(found.rows, rows_of(found), strict=True):
        *first, last = (html.escape(cell) for cell in cells.values())
        marked = f'<td class="{LOOKS[row.verdict.word]}">{last}</td>'
        body += "<tr>" + "".join(f"<td>{cell}</td>" for cell in first) + f"{marked}</tr>\n"
    notes = "".join(f"<li>{html.escape(line)}</li>\n" for line in legend(found))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>\n{body}</tbody></table>'
        f"</div>\n<ul>\n{notes}</ul>\n</body></html>\n"
    )


def summary(stored: Sequence[Stored]) -> Table:
    """The table of several studies, a row each: claims tested, verdicts, hours."""
    rows = []
    for one in stored:
        counts = one.content["counts"]
        rows.append(
            {
                "study": one.study,
                "paper": f"{one.content['paper']}: {one.content['table']}",
                "tested": str(sum(counts.values()) - counts[NOT_COMPARABLE]),
                "reproduced": _count(counts[REPRODUCED], counts[HOLDS]),
                "not reproduced": _count(counts[NOT_REPRODUCED], counts[DOES_NOT]),
                "undecided": str(counts[UNDECIDED]),
                "not comparable": str(counts[NOT_COMPARABLE]),
                "trainings": str(one.runs),
                "hours": f"{one.hours:.2f}",
            }
        )
    return rows


def _count(whole: int, reduced: int) -> str:
    return f"{whole} (and {reduced} at reduced scale)" if reduced else str(whole)


def require_ending(file: Path) -> None:
    """Raise `UsageError` unless a study can be written to a file of that ending."""
    if file.suffix not in ENDINGS:
        raise UsageError(f"cannot write {file}: its name must end in {', '.join(ENDINGS)}")
