"""Who may import whom, and what must not be imported before it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import SLOW

import genreclf

PACKAGE = Path(genreclf.__file__).parent

# A folder imports from itself and from those above it; the files beside the folders are above all.
FOLDERS = [
    "config",
    "parallel",
    "library",
    "audio",
    "features",
    "embeddings",
    "tables",
    "extraction",
    "learning",
    "evaluation",
    "reports",
    "cli",
]
# What a configuration can name is declared beside the code that it names. So config imports these
# declarations, which import nothing of ours but the basic types of a section, unless in a body.
DECLARATIONS = (
    "features/catalogue",
    "learning/augmentation/settings",
    "learning/classifiers",
    "learning/networks/optimizers",
)
# Heavy or particular packages, and the only places that may import them.
AT_HOME = {
    "cleanlab": {"evaluation/audit"},
    "soundfile": {"audio", "versions"},
    "soxr": {"audio/resampling"},
    "av": {"audio/libav"},
    "matplotlib": {"reports/plots", "reports/networkplots"},
    "onnx": {"embeddings/onnxfile"},
    "onnxruntime": {"embeddings/onnxfile"},
    "mutagen": {"library"},
    "pebble": {"parallel"},
    "dask": {"parallel/cluster"},
    "distributed": {"parallel/cluster"},
    "sklearn": {"extraction/transformer", "learning", "evaluation"},
    "joblib": {"learning/modelfile", "cli"},
    "sqlite3": {"extraction/cache"},
    "skops": {"learning/modelfile"},
    "torch": {"learning/networks"},
    "tomli_w": {"cli"},
    "click": {"cli"},
    "rich": {"reports", "cli"},
    "jinja2": {"reports/pages"},
}


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if "data" not in path.parts]


def ours(path: Path) -> list[str]:
    """Return what a module imports of this package, as ``folder/module``."""
    return [
        name.removeprefix("genreclf.").replace(".", "/")
        for name in imports(path)
        if name.startswith("genreclf.")
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_only_from_those_above_it(folder: str) -> None:
    below = FOLDERS[FOLDERS.index(folder) + 1 :]
    for path in sorted((PACKAGE / folder).rglob("*.py")):
        found = [name for name in ours(path) if name.split("/")[0] in below]
        if folder == "config":
            found = [name for name in found if not name.startswith(DECLARATIONS)]
        assert not found, path


def test_modules_beside_the_folders_import_from_none() -> None:
    for path in PACKAGE.glob("*.py"):
        if place(path) not in ("__init__", "__main__"):
            assert not [name for name in ours(path) if name.split("/")[0] in FOLDERS], path


def test_declarations_import_nothing_but_basic_types() -> None:
    declarations = [path for path in SOURCES if place(path).startswith(DECLARATIONS)]
    assert declarations
    allowed = (
        "genreclf.errors", "genreclf.config.sections", "genreclf.learning.classifiers.",
        "genreclf.learning.networks.optimizers",
    )  # fmt: skip
    for path in declarations:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        at_once = [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
        found = [name for name in at_once if name.startswith("genreclf.")]
        assert not [name for name in found if not name.startswith(allowed)], path


def test_packages_are_imported_at_home_only() -> None:
    for path in SOURCES:
        for package in {name.split(".")[0] for name in imports(path)} & AT_HOME.keys():
            assert place(path).startswith(tuple(AT_HOME[package])), f"{path} imports {package}"


def test_help_imports_nothing_slow() -> None:
    code = (
        "import sys\n"
        "from contextlib import suppress\n"
        "from genreclf.__main__ import main\n"
        "from genreclf.cli import cli\n"
        "def run(*arguments):\n"
        "    sys.argv = ['genreclf', *arguments]\n"
        "    with suppress(SystemExit):\n"
        "        main()\n"
        "def show_help(command, *path):\n"
        "    run(*path, '--help')\n"
        "    for name, part in getattr(command, 'commands', {}).items():\n"
        "        show_help(part, *path, name)\n"
        "show_help(cli)\n"
        "run('--version')\n"
        "run('completion', 'bash')\n"
        "print('LOADED', *{m.split('.')[0] for m in sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    shown, _, loaded = done.stdout.rpartition("LOADED")
    assert shown.count("Usage: genreclf ") > 20
    assert "click" in loaded.split()
    assert not set(loaded.split()) & SLOW


def test_extraction_needs_no_compiler_no_pandas_and_no_scikit_learn() -> None:
    code = (
        "import sys, genreclf.extraction.tracks\n"
        "print(*{m.split('.')[0] for m in sys.modules} & {'numba', 'librosa', 'sklearn', 'pandas'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_public_names_are_there_and_loaded_lazily() -> None:
    for name in genreclf.__all__:
        assert getattr(genreclf, name) is not None
    assert set(genreclf.__all__) <= set(dir(genreclf))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = genreclf.no_such_name


def test_presets_are_found_from_a_checkout_too() -> None:
    root = Path(__file__).parent.parent
    code = "from genreclf.config.load import load_config, presets_folder\nload_config('wide')\n"
    code += "print(presets_folder())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root,
        env={"PYTHONPATH": str(root), "PATH": ""},
    )  # fmt: skip
    assert Path(done.stdout.strip()) == root / "configs"


NETWORK = {
    "aiohttp", "asyncio", "ftplib", "http", "httpx", "requests", "smtplib", "socket",
    "socketserver", "ssl", "telnetlib", "urllib", "urllib3", "webbrowser", "xmlrpc",
}  # fmt: skip
PICKLES = {"cPickle", "cloudpickle", "dill", "marshal", "pickle", "shelve"}


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_nothing_runs_strings_starts_programs_or_opens_the_network(path: Path) -> None:
    found = {name.split(".")[0] for name in imports(path)}
    starts_pip = place(path) == "embeddings/wheel"
    assert not found & (NETWORK | PICKLES | (set() if starts_pip else {"subprocess"}))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
            assert not name.startswith(("os.exec", "os.spawn", "os.posix_spawn"))
            assert name != "joblib.load" or place(path) == "learning/modelfile"
            allowed = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert allowed.get("shell", "False") == "False"
            assert allowed.get("allow_pickle", "False") == "False"
