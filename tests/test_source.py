"""Rules that the source keeps, read from the source itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cupy_names
import tinyseq

ROOT = Path(__file__).parent.parent
PACKAGE = Path(tinyseq.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = cupy_names.read_names()[1]
FOLDERS = ("tinyseq", "tests", "tutorials", "visualizations", "benchmarks", ".ci")
TEXT = {".py", ".md", ".toml", ".txt", ".yaml", ".svg", ".html", ".dot", ".json", ".ipynb", ""}

# Modules of more than 400 lines, each with the reason why it is not two.
LONG_FILES: dict[str, str] = {}


def files() -> list[Path]:
    """The text files of the repository."""
    found = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in FOLDERS:
        found += [p for p in (ROOT / folder).rglob("*") if p.is_file()]
    return sorted(p for p in found if p.suffix in TEXT and "__pycache__" not in p.parts)


def test_finds_the_source():
    assert PACKAGE / "backend.py" in MODULES
    assert Path(__file__) in files() and ROOT / "pyproject.toml" in files()


# What is asked of the array library.


def array_library_names(tree: ast.AST) -> Iterator[tuple[ast.Attribute, str]]:
    """Each ``xp.NAME``, and ``xp.linalg.NAME`` and ``xp.NAME.METHOD``, with its dotted name."""
    inner = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node not in inner:
            attributes, root = [node.attr], node.value
            chain = [node]
            while isinstance(root, ast.Attribute):
                attributes.insert(0, root.attr)
                chain.append(root)
                root = root.value
            if _is_array_library(root):
                inner.update(chain)
                yield node, ".".join(attributes)


def _is_array_library(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        return name in ("namespace", "gpu_namespace")
    return isinstance(node, ast.Name) and node.id in ("xp", "cupy", "cp")


def lacking(dotted: str, call: ast.Call | None, names: dict[str, cupy_names.Name]) -> str | None:
    """What CuPy lacks of the name, or of the parameters that the call gives; None if it has all."""
    first, *rest = dotted.split(".")
    found = names.get(f"cupy.{first}")
    if found is None:
        return f"CuPy has no {first}"
    if found.kind == "module" and first == "linalg" and rest:
        first, *rest = f"linalg.{rest[0]}", *rest[1:]
        found = names.get(f"cupy.{first}")
        if found is None:
            return f"CuPy has no {first}"
    if found.kind == "ufunc" and rest and rest[0] not in found.detail.split():
        return f"CuPy's {first} does no {rest[0]}"
    if call is None or rest:
        return None
    given = {keyword.arg for keyword in call.keywords if keyword.arg}
    if found.kind == "ufunc":
        unknown = given - {"out", "dtype", "casting"}
    else:
        signature = cupy_names.signature(found)
        if signature is None or any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
            return None
        unknown = given - set(signature.parameters)
    return f"CuPy's {first} takes no {', '.join(sorted(unknown))}" if unknown else None


def all_lacking(source: str, names: dict[str, cupy_names.Name]) -> list[str]:
    tree = ast.parse(source)
    calls = {node.func: node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    complaints = []
    for node, dotted in array_library_names(tree):
        complaint = lacking(dotted, calls.get(node), names)
        if complaint:
            complaints.append((node.lineno, f"line {node.lineno}: {complaint}"))
    return [complaint for _, complaint in sorted(complaints)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_cupy_has_what_the_source_asks_of_the_array_library(path):
    assert all_lacking(path.read_text(), NAMES) == []


def test_that_check_finds_what_it_should():
    source = "\n".join(
        [
            "xp.tanh(a)",
            "xp.errstate()",
            "xp.linalg.norm(a, axis=0)",
            "xp.linalg.vecdot(a, b)",
            "namespace(a).add.at(a, i, b)",
            "self.backend.namespace(a).logaddexp.at(a, i, b)",
            "xp.maximum.reduce(a)",
            "xp.max(a, axis=0, initial=0)",
            "xp.exp(a, where=mask)",
            "f = xp.frompyfunc",
            "cupy.scatter_add(a, i, b)",
            "xp.random.normal()",
            "other.errstate()",
        ]
    )
    assert all_lacking(source, NAMES) == [
        "line 2: CuPy has no errstate",
        "line 4: CuPy has no linalg.vecdot",
        "line 6: CuPy's logaddexp does no at",
        "line 7: CuPy's maximum does no reduce",
        "line 8: CuPy's max takes no initial",
        "line 9: CuPy's exp takes no where",
        "line 10: CuPy has no frompyfunc",
        "line 11: CuPy has no scatter_add",
        "line 12: CuPy has no random",
    ]


@pytest.mark.oracle("cupy")
def test_the_list_of_names_is_that_of_the_installed_cupy():
    import cupy

    installed = cupy_names.describe(cupy)
    version, listed = cupy_names.read_names()
    if cupy.__version__ == version:
        assert sorted(listed.values(), key=lambda name: name.path) == installed
    names = {name.path: name for name in installed}
    complaints = {path.name: all_lacking(path.read_text(), names) for path in MODULES}
    assert {name: found for name, found in complaints.items() if found} == {}


# Who imports what, and what is never written.


def imported(tree: ast.AST) -> set[str]:
    """The top-level packages that are imported anywhere in the file."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_only_backend_imports_cupy():
    importers = [
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if imported(ast.parse(path.read_text())) & {"cupy", "cupyx", "cupy_backends"}
    ]
    assert importers == ["backend.py"]


def test_nothing_is_evaluated():
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "eval"
    ]
    assert found == []


def test_no_module_is_long_without_a_reason():
    lengths = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text().splitlines()) for path in MODULES
    }
    long = {name for name, length in lengths.items() if length > 400}
    assert long == set(LONG_FILES)


# A folder that is on somebody's machine and on no other; built so that this file has none.
MACHINE_PATH = re.compile(
    r"(?<![\w.}~/-])/(?:" + "|".join(["home", "root", "Users", "work", "tmp", "mnt", "opt"]) + r")/"
    r"|\b[A-Z]:\\\\?(?:Users|Program)"
)


def test_no_file_names_a_path_of_somebodys_machine():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line, found",
    [
        ("open('/" + "home/ann/data.txt')", True),
        ("see /" + "tmp/plot.svg", True),
        ("C:" + r"\Users\ann", True),
        ("https://example.org/" + "home/page", False),
        ("tests/" + "work/unit.py", False),
        ("a /" + " b", False),
    ],
)
def test_that_check_knows_a_path(line, found):
    assert bool(MACHINE_PATH.search(line)) == found
