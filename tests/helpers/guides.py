"""What the project's Markdown files say can be typed: Python blocks, commands, keys, links."""

import itertools
import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
GUIDES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "experiments/*.md", "tests/README.md", "rnnexp/*/*.md")
    for path in ROOT.glob(pattern)
)
"""All Markdown files, by their path below the project's top folder."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = ("rnnexp", "python")


def python_blocks(text: str) -> list[str]:
    """The fenced blocks of Python, in order."""
    return [body for language, body in FENCE.findall(text) if language == "python"]


def code_spans(text: str) -> list[str]:
    """What stands between backticks outside of fenced blocks, each on one line."""
    spans = re.findall(r"`([^`]+)`", FENCE.sub("", text))
    return [" ".join(span.split()).replace(r"\|", "|") for span in spans]


def commands(text: str) -> list[str]:
    """Every command that calls `rnnexp` or `python`: those in fenced blocks, and in spans."""
    lines = [line for language, body in FENCE.findall(text) if not language
             for line in body.splitlines()]  # fmt: skip
    single = [part.strip() for line in [*lines, *code_spans(text)] for part in line.split(" && ")]
    called = [re.sub(r"^(?:\.venv/bin/)?", "", command) for command in single]
    return [command for command in called if command.split(" ")[0] in PROGRAMS and " " in command]


def expanded(command: str) -> list[str]:
    """A command for every choice in it: `[a|b]` is a, b or nothing, and `a|b` is a or b."""
    choices = []
    for word in re.split(r" +(?![^\[]*\])", command):
        inner = re.fullmatch(r"\[(.*)\]", word)
        options = (inner[1] if inner else word).split("|")
        choices.append([*options, ""] if inner else options)
    return [" ".join(filter(None, words)) for words in itertools.product(*choices)]


def words(command: str) -> list[str]:
    """The command's words after the program's name, as a shell reads them."""
    return shlex.split(command)[1:]


def links(text: str) -> list[str]:
    """Targets of the links and pictures within the repository."""
    found = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text))
    return [target for target in found if "://" not in target]


def anchors(text: str) -> set[str]:
    """The names that headings are linked by."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
