"""The house: imports point one way, rooms stay small, and every module has its test.

The order of the packages, what each holds and where something new goes is in CONTRIBUTING.md.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ORDER = [
    "core", "runtime", "cells", "data", "tasks", "scan", "models", "gradflow", "laboratory",
    "learning", "config", "train", "run", "sweep", "results", "report", "export", "bench",
    "study", "api", "cli",
]  # fmt: skip
"""The packages, each of which imports from itself and from those before it."""
STRANGERS = [("cells", "tasks"), ("tasks", "cells"), ("data", "tasks"), ("data", "cells")]
LOOSE = {"__init__.py", "__main__.py"}
"""The only modules outside the packages."""
MOST_LINES = 400
MOST_FUNCTION_LINES = 60
"""Without its docstring, which in a cell holds the equations, and without the functions in it,
which count for themselves."""
ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "rnnexp"
FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")
MODULES = [path for path in FILES if path.name not in LOOSE]
Function = ast.FunctionDef | ast.AsyncFunctionDef

TESTED_ELSEWHERE = {
    "bench/gpu_errors.py": "needs a graphics processor; experiments/gpu_kernels.py runs it there",
    "bench/gpu_times.py": "needs a graphics processor; experiments/gpu_kernels.py runs it there",
    "bench/ours.py": "runs as a contender only: bench/test_contender.py, cli/test_bench.py",
    "bench/peers.py": "runs as a contender only: bench/test_contender.py, cli/test_bench.py",
    "bench/update.py": "runs as a contender only: bench/test_contender.py, cli/test_bench.py",
    "cells/activations.py": "by the cells' variants in cells/test_base.py",
    "cells/delay_line.py": "by the two networks made of it: cells/test_tdnn.py, test_narx.py",
    "cells/feedforward.py": "by the table of all cells: cells/test_base.py",
    "cells/gate_blocks.py": "by every cell's matrices: laboratory/test_recurrent_matrices.py",
    "cli/analyze.py": "beside the run that it measures: run/test_analyze.py",
    "cli/arguments.py": "by the commands that share them: cli/test_compare.py, cli/test_sweep.py",
    "cli/progress.py": "by what it draws on a terminal: cli/test_live.py, cli/test_run.py",
    "cli/sample.py": "beside the runs that write: run/test_sample.py",
    "cli/search.py": "searches need processes: integration/test_search.py, test_older_version.py",
    "config/defaults.py": "values alone, read by config/test_schema.py, test_describe.py",
    "core/types.py": "names alone",
    "gradflow/position_losses.py": "by what is made of it: laboratory/test_adjoint_matrix.py",
    "gradflow/tangent_scan.py": "by its users: laboratory/test_lyapunov.py and the penalties",
    "laboratory/local_step.py": "by the parts that it adds up to: laboratory/test_lag_gradients.py",
    "laboratory/units.py": "a table alone, read by laboratory/test_dataset.py",
    "models/forward.py": "names alone, used by every test of a model",
    "models/heads/frames.py": "by the heads over frames: models/heads/test_nade.py, test_rbm.py",
    "models/heads/linear.py": "the head of every model: models/test_sequence.py",
    "models/wrapped.py": "by the Flax cells that become cells: models/test_wrap.py",
    "report/paper_style.py": "by the pictures: report/test_paper.py, test_paper_key.py",
    "report/beam_widths.py": "by the command that draws it: run/test_beam_widths.py",
    "run/attention.py": "by the command that prints it: cli/test_attention.py",
    "runtime/collectives.py": "needs several processes: integration/test_devices.py",
    "runtime/cpu.py": "replaced by a stand-in in runtime/test_compilation_cache.py",
    "runtime/memory_size.py": "beside what it limits: train/test_memory_need.py",
    "runtime/environment.py": "by the file that it writes: run/test_run.py",
    "runtime/mesh.py": "needs several devices: integration/test_devices.py",
    "study/verdict.py": "a value, made and read by study/test_rules.py",
    "sweep/estimate.py": "by the dry run: cli/test_sweep.py",
    "sweep/executors/base.py": "values that the executors share: integration/test_executors.py",
    "sweep/executors/child.py": "is a process: integration/test_executors.py",
    "sweep/executors/local.py": "starts processes: integration/test_executors.py",
    "sweep/executors/ray.py": "needs a cluster: integration/test_ray_cluster.py",
    "sweep/executors/scheduler.py": "starts processes: integration/test_executors.py",
    "sweep/launch.py": "starts processes: integration/test_sweep.py",
    "sweep/plan.py": "by the sweeps that it is written for: cli/test_sweep.py",
    "tasks/bars_and_stripes.py": "with the other distributions: tasks/test_density.py",
    "tasks/binary_digits.py": "with the other distributions: tasks/test_density.py",
    "tasks/digits.py": "by the table of all tasks: tasks/test_base.py, test_images.py",
    "tasks/digits_drawing.py": "with what it is made of: tasks/test_one_to_many.py",
    "tasks/parity.py": "a row of the table of tasks/test_classification.py",
    "tasks/reverse.py": "a row of the table of tasks/test_transduction.py",
    "tasks/scores.py": "by every task: tasks/test_base.py",
    "tasks/sort.py": "a row of the table of tasks/test_transduction.py",
    "train/abstract_call.py": "by the checks: train/test_check_cell.py, test_check_task.py",
    "train/data_parallel.py": "needs several devices: integration/test_devices.py",
    "train/placement.py": "needs several devices: integration/test_devices.py",
    "train/program.py": "by the step and the chunk: train/test_step.py, train/test_chunk.py",
}
"""Modules without a test file of their own: by what they are tested, and why there."""


def name_of(path: Path) -> str:
    """`cells/lstm.py` of a source file."""
    return str(path.relative_to(SOURCE))


def part_of(path: Path) -> str:
    """The first name below the package: `cells` of `rnnexp/cells/lstm.py`."""
    return path.relative_to(SOURCE).parts[0]


def imported(path: Path) -> Iterator[str]:
    """The parts of the package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "rnnexp":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rnnexp."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            names = (alias.name.split(".") for alias in node.names)
            yield from (name[1] for name in names if name[0] == "rnnexp" and len(name) > 1)


def own_lines(function: Function) -> int:
    """Lines of a function without its docstring and the functions within it."""
    lines = set(range(function.lineno, (function.end_lineno or 0) + 1))
    left_out: list[ast.AST] = [
        node for node in ast.walk(function) if isinstance(node, Function) and node is not function
    ]
    if ast.get_docstring(function, clean=False) is not None:
        left_out.append(function.body[0])
    for node in left_out:
        lines -= set(range(node.lineno, node.end_lineno + 1))  # type: ignore[attr-defined]
    return len(lines)


def test_there_are_these_packages_and_no_loose_module() -> None:
    assert {part_of(path) for path in FILES} == {*ORDER, "__main__.py"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    for other in imported(path):
        assert ORDER.index(other) <= ORDER.index(part), f"{part} imports {other}"
        assert (part, other) not in STRANGERS, f"{part} imports {other}"


def test_no_file_imports_in_a_circle() -> None:
    """Within a package too, imports inside functions counted."""
    known = {name.removesuffix(".py").replace("/", "."): name for name in map(name_of, MODULES)}
    edges: dict[str, set[str]] = {}
    for path in MODULES:
        edges[name_of(path)] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rnnexp")):
                continue
            base = str(node.module).removeprefix("rnnexp").removeprefix(".")
            for name in (base, *(f"{base}.{alias.name}" for alias in node.names)):
                if name in known:
                    edges[name_of(path)].add(known[name])
    while free := [name for name, others in edges.items() if not others]:
        for name in free:
            del edges[name]
        for others in edges.values():
            others -= set(free)
    assert not edges, f"circles among {sorted(edges)}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_have_docstrings_and_a_bounded_size(path: Path) -> None:
    text = path.read_text()
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":", "`."))
    assert text.count("\n") <= MOST_LINES


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_functions_have_a_bounded_size(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            lines = own_lines(node)
            assert lines <= MOST_FUNCTION_LINES, f"{node.name} has {lines} lines"


def test_only_the_command_line_prints() -> None:
    for path in MODULES:
        calls = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
        ]
        prints = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]
        assert not prints or part_of(path) == "cli", path


def test_every_module_has_its_test_at_its_path() -> None:
    """`tests/PACKAGE/test_MODULE.py`, but for the modules of the list, each for its reason."""
    mirrored = {
        name_of(path)
        for path in MODULES
        if (ROOT / "tests" / path.relative_to(SOURCE).with_name(f"test_{path.name}")).exists()
    }
    assert {name_of(path) for path in MODULES} - mirrored == set(TESTED_ELSEWHERE)


def test_public_names_resolve() -> None:
    import rnnexp

    for name in rnnexp.__all__:
        assert getattr(rnnexp, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rnnexp.nothing  # type: ignore[attr-defined]
