"""A built package has every file that it needs beside its modules."""

import tomllib
from pathlib import Path


def test_the_package_data_are_all_files_that_are_not_modules(root: Path) -> None:
    setuptools = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    package = root / "rnnexp"
    patterns = setuptools["package-data"]["rnnexp"]
    named = {path for pattern in patterns for path in package.glob(pattern)}
    files = {path for path in package.rglob("*") if path.is_file()}
    left_out = {path for path in files if path.suffix in (".py", ".pyc", ".md")}
    assert named == files - left_out
    assert all(any(package.glob(pattern)) for pattern in patterns)
