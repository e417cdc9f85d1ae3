"""`rnnexp watch` in real Chromium beside a sweep that trains, and whose processes are killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.driven_chromium import Page, chromium
from tests.helpers.report_runs import write_whole_run

SWEEP = [
    "sweep", "adding/rnn", "--seeds", "2", "--width", "1", "--config.cell.hidden_size=4",
    "--config.task.length_steps=8", "--config.train.batch_size=4", "--config.eval.examples=8",
    "--config.record.every_steps=50", "--config.checkpoint.every_steps=1000",
    "--config.eval.every_steps=2000", "--config.train.duration_steps=100000000",
]  # fmt: skip
HELP = """
const plot = document.getElementById("plot-loss");
const boxes = [...document.querySelectorAll("input[data-run]")];
const box = (label) => boxes.find((one) => one.closest("label").textContent.includes(label));
const curves = (label) => (plot?.data ?? []).filter(({ meta }) => meta.startsWith(label));
const points = (label) => Math.max(0, ...curves(label).map(({ x }) => x.at(-1)));
const summary = () => document.getElementById("summary").textContent;
const killed = () => document.body.innerText.split("killed (the same command resumes)").length - 1;
const names = () => [...new Set((plot?.data ?? []).map((t) => t.meta.split(",")[0]))];
"""


@contextmanager
def started(module: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A program in a process group of its own, which is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        kill(process)
        assert process.stdout is not None
        process.stdout.close()


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill a program and the processes that it started, as a machine that fails would."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


@contextmanager
def watched(folder: Path) -> Iterator[tuple[Page, Path, "subprocess.Popen[str]"]]:
    """The live page about a folder of runs that does not exist yet, and its server.

    At the end nothing but the server was asked, and nothing was complained of.
    """
    runs = folder / "runs"
    with started("rnnexp", "watch", str(runs), "--json") as server, chromium(folder) as page:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())["address"]
        page.open(address)
        page.wait("document.getElementById('notes')?.textContent.includes('does not exist yet')")
        yield page, runs, server
        here = address.partition("?")[0]
        asked = [url for url in page.requests if not url.startswith(("data:", "blob:"))]
        assert len(asked) > 3
        assert [url for url in asked if not url.startswith(here)] == []


def state(page: Page, what: str) -> Any:
    return page.run(f"{HELP} return {what};")


def wait_for(page: Page, what: str) -> None:
    page.wait(f"(() => {{ {HELP} return {what}; }})()")


def test_the_page_follows_runs_and_leaves_the_reader_alone(tmp_path: Path) -> None:
    with watched(tmp_path) as (page, runs, server):
        with ExitStack() as stack:
            for seed in "01":
                stack.enter_context(started("tests.helpers.growing_run", str(runs), seed))
            wait_for(page, "box('seed 1') && names().length === 2")
            wait_for(page, "summary().includes('2 training')")
            page.run(f"{HELP} box('seed 1').click();")
            before = zoomed(page)
            grown = state(page, "points('rnn seed 0')")
            wait_for(page, f"points('rnn seed 0') > {grown} + 40")
            check_untouched(page, before, ["rnn seed 0"])
            write_whole_run(runs, "adding/gru")  # the list of runs, and the pictures, change
            wait_for(page, "names().length === 2")
            check_untouched(page, before, ["gru seed 0", "rnn seed 0"])
            assert state(page, "document.querySelectorAll('#maps .plot').length") == 3
        wait_for(page, "killed() === 4")  # two runs, in the list and in the table
        wait_for(page, "summary().includes('0 training')")
        check_untouched(page, before, ["gru seed 0", "rnn seed 0"])
        assert page.complaints == []
        os.kill(server.pid, signal.SIGINT)
        assert server.wait(30) == 130
        wait_for(page, "summary().includes('does not answer')")


def test_a_sweep_is_seen_to_train_and_to_be_killed(tmp_path: Path) -> None:
    with watched(tmp_path) as (page, runs, _):
        with started("rnnexp", *SWEEP, "--runs-dir", str(runs)):
            wait_for(page, "points('rnn seed 0') > 0 || points('rnn seed 1') > 0")
            wait_for(page, "box('seed 1')")
            grown = state(page, "points('rnn')")
            wait_for(page, f"points('rnn') > {grown}")
        wait_for(page, "killed() === 4")
        assert page.complaints == []


def zoomed(page: Page) -> dict[str, Any]:
    """Zoom into the losses, scroll a little, choose a linear scale; what must stay."""
    page.run("""
      const scale = document.querySelectorAll("#loss select")[1];
      scale.value = "linear"; scale.dispatchEvent(new Event("change"));
      document.getElementById("plot-loss").scrollIntoView({ behavior: "instant", block: "center" });
    """)
    area = page.run("""
      await new Promise((done) => setTimeout(done, 500));
      const area = document.querySelector("#plot-loss .nsewdrag");
      const { x, y, width, height } = area.getBoundingClientRect();
      return [x, y, width, height];
    """)
    x, y, width, height = area
    page.drag((x + 0.2 * width, y + 0.2 * height), (x + 0.8 * width, y + 0.8 * height))
    page.wait("document.getElementById('plot-loss').layout.xaxis.autorange === false")
    return seen(page)


def seen(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = state(
        page,
        "{ x: plot.layout.xaxis.range, y: plot.layout.yaxis.range, "
        "scale: document.querySelectorAll('#loss select')[1].value, "
        "hidden: !box('rnn seed 1').checked, top: plot.getBoundingClientRect().top }",
    )
    return found


def check_untouched(page: Page, before: dict[str, Any], shown: list[str]) -> None:
    """The reader's zoom, scale and place, and the hidden run, are as they were."""
    now = seen(page)
    assert abs(now.pop("top") - before["top"]) < 3, page.run("return document.body.innerText;")
    assert now == {key: value for key, value in before.items() if key != "top"}
    assert now["hidden"] is True
    assert state(page, "names().sort()") == shown
