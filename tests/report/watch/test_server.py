"""The server answers whoever has the token and speaks to this machine, and nobody else."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnexp.report.watch import server as module
from rnnexp.report.watch.serve import Place, listen
from rnnexp.report.watch.server import HEADERS, Watcher, application, refusal
from tests.helpers.parsed_page import Parsed
from tests.helpers.report_runs import write_whole_run

TOKEN = "t0ken-é"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server about a directory of one run."""
    import uvicorn

    runs = tmp_path_factory.mktemp("served")
    write_whole_run(runs, with_laboratory=True)
    place = listen()
    config = uvicorn.Config(
        application(runs, place.token), log_config=None, lifespan="off", ws="none", loop="asyncio"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place.listening]})
    thread.start()
    yield place
    server.should_exit = True
    thread.join()
    place.listening.close()


def ask(
    place: Place, path: str, method: str = "GET", **headers: str
) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=120)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, text, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "host", "query", "status"),
    [
        ("GET", "127.0.0.1:80", "token=abc", None),
        ("HEAD", "localhost", "x=1&token=abc", None),
        ("GET", "LOCALHOST:9000", "token=abc", None),
        ("GET", "127.0.0.1", "token=abd", 403),
        ("GET", "127.0.0.1", "token=", 403),
        ("GET", "127.0.0.1", "", 403),
        ("GET", "127.0.0.1", "token=%ff%ff", 403),
        ("GET", "evil.example", "token=abc", 403),
        ("GET", "127.0.0.1.evil.example", "token=abc", 403),
        ("GET", "evil.example:127.0.0.1", "token=abc", 403),
        ("GET", "127.0.0.1@evil.example", "token=abc", 403),
        ("GET", "[::1", "token=abc", 403),
        ("GET", "", "token=abc", 403),
        ("POST", "127.0.0.1", "token=abc", 405),
        ("OPTIONS", "127.0.0.1", "token=abc", 405),
        ("POST", "127.0.0.1", "", 403),
    ],
)
def test_who_is_refused(method: str, host: str, query: str, status: int | None) -> None:
    refused = refusal(method, host, query, "abc")
    assert (refused and refused[0]) == status


def test_a_stranger_learns_nothing(place: Place) -> None:
    for path in ("/", "/changes", "/?token=x", "/favicon.ico"):
        status, text, headers = ask(place, path)
        assert status == 403
        assert "copy_memory" not in text
        assert HEADERS.items() <= headers.items()
    good = f"/changes?token={place.token}"
    assert ask(place, good, Host="evil.example")[0] == 403
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        status, _, headers = ask(place, good, method)
        assert (status, headers["allow"]) == (405, "GET, HEAD")
    status, _, headers = ask(place, f"/nowhere?token={place.token}")
    assert status == 404
    assert not [name for name in headers if name.startswith("access-control")]


def test_the_page_has_its_runs_and_asks_nobody_else(place: Place) -> None:
    status, text, headers = ask(place, f"/?token={place.token}")
    assert status == 200
    assert HEADERS.items() <= headers.items()
    page = Parsed(text)
    data = json.loads(page.texts["script"][0])
    assert [run["label"] for run in data["runs"]] == ["lstm"]
    assert data["live"]["version"] == 1
    assert place.token not in text
    policies = [value for _, name, value in page.attributes if name == "content"]
    (policy,) = [value for value in policies if "default-src" in value]
    assert "connect-src 'self'" in policy
    assert ask(place, f"/?token={place.token}", "HEAD")[:2] == (200, "")


def test_news_are_what_a_page_lacks(place: Place) -> None:
    at = f"/changes?token={place.token}"
    everything = json.loads(ask(place, at)[1])
    assert everything["version"] == 1
    assert [*everything["runs"]] == everything["order"]
    known = f"{at}&server={everything['server']}&since=1"
    assert json.loads(ask(place, known)[1]) == {"server": everything["server"], "version": 1}
    for other in (
        "&server=another&since=1",
        "&since=1",
        f"&server={everything['server']}&since=-x",
    ):
        assert json.loads(ask(place, at + other)[1]) == everything


def test_runs_are_not_looked_at_for_every_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, used, looks = [100.0], [7.0], []

    def look(directory: Path, before: object) -> object:
        looks.append(now[0])
        used[0] += 3.0
        return before

    monkeypatch.setattr(module, "look", look)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "process_time", lambda: used[0])
    watcher = Watcher(tmp_path)
    for _ in range(20):
        watcher.now()
        now[0] += 1.0
    assert looks == [100.0, 112.0]  # each took 3 s of the processor, so they rest for 12
