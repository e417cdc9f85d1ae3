"""A page as a browser splits it, for tests."""

from html.parser import HTMLParser


class Parsed(HTMLParser):
    """The elements of a page with their texts, and every attribute."""

    def __init__(self, text: str):
        super().__init__()
        self.texts: dict[str, list[str]] = {}
        self.attributes: list[tuple[str, str, str]] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        self.texts.setdefault(tag, []).append("")
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open][-1] += data
