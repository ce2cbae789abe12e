"""Options that several commands share, and the frozen values that they are collected into."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from genreclf.cli.output import remember_replaced
from genreclf.config.schema import AUGMENT, CLASSIFIERS
from genreclf.errors import GenreclfError, TableError
from genreclf.library.tags import GROUPS
from genreclf.parallel import SECONDS_A_FILE

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from genreclf.config.schema import Config
    from genreclf.library.labels import Labelling
    from genreclf.tables.columns import Columns

Command = TypeVar("Command", bound=Callable[..., Any])

# Files are not checked here but when they are read: one unreadable file must not stop the others.
FILE = click.Path(dir_okay=False, readable=False, path_type=Path)
ANY_PATH = click.Path(readable=False, path_type=Path)
TABLE = ANY_PATH  # a file, or a folder of Parquet files


class OutputFile(click.Path):
    """A file to write; its folder, and its name by ``check``, are checked before any work."""

    def __init__(
        self, *, folder: bool = False, check: Callable[[Path], None] = lambda _: None
    ) -> None:
        super().__init__(dir_okay=folder, readable=False, path_type=Path)
        self.check = check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Fail if the file cannot be written."""
        path = Path(os.fspath(value))
        super().convert(value, param, ctx)
        if str(path) != "-":
            folder = path.absolute().parent
            if not folder.is_dir():
                self.fail(f"{path}: the folder {folder} does not exist; create it", param, ctx)
            if not os.access(path if path.exists() else folder, os.W_OK):
                self.fail(f"{path}: cannot be written; permission denied", param, ctx)
            if ctx is not None and path.is_file():
                remember_replaced(path, ctx)
        try:
            self.check(path)
        except GenreclfError as error:
            self.fail(str(error), param, ctx)
        return path


def _check_picture(path: Path) -> None:
    from genreclf.reports.plots import check_plot

    check_plot(path)


def _check_game(path: Path) -> None:
    from genreclf.reports.networkplots import GAME_FORMATS
    from genreclf.reports.plots import check_plot

    check_plot(path, GAME_FORMATS)


def _check_report(path: Path) -> None:
    """Refuse other suffixes, so that a report cannot overwrite a table or a model."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise GenreclfError(f"{path}: the name of a report ends in .html or .htm")


OUTPUT_FILE = OutputFile()
OUTPUT_TABLE = OutputFile(folder=True)
PICTURE_FILE = OutputFile(check=_check_picture)
GAME_FILE = OutputFile(check=_check_game)
REPORT_FILE = OutputFile(check=_check_report)


def collected(
    kind: type[Any], *options: Callable[..., Any], argument: str = "args"
) -> Callable[[Command], Command]:
    """Return a decorator that adds options and passes values as one argument of type ``kind``.

    Parameters
    ----------
    kind : type
        Dataclass whose fields are named like parameters of the command.
    *options : callable
        Decorators of click, in the order of the help text.
    argument : str
        Its name.
    """
    names = [field.name for field in fields(kind)]

    def decorate(command: Command) -> Command:
        @wraps(command)
        def collect(**values: Any) -> Any:
            group = kind(**{name: values.pop(name) for name in names})
            return command(**{argument: group}, **values)

        wrapped: Any = collect
        for option in reversed(options):
            wrapped = option(wrapped)
        return cast(Command, wrapped)

    return decorate


def _words_or_file(words: Iterable[str], incomplete: str) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem

    # The file comes first, because bash drops the words before it.
    fitting = [CompletionItem(word) for word in words if word.startswith(incomplete)]
    return [CompletionItem(incomplete, type="file"), *fitting]


def complete_config(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Complete the names of presets and files."""
    from genreclf.config.load import preset_names

    return _words_or_file(preset_names(), incomplete)


def _complete_labels(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    return _words_or_file(["folder", "tags", "none"], incomplete)


# fmt: off
overrides = click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True,
    help="Change one value of the configuration, as in excerpt.seconds=10; repeatable.",
)
augment = click.option(
    "--augment", type=click.Choice(AUGMENT),
    help="Add synthetic samples of genres with fewer training tracks than the median genre, by "
    "this method. gaussian is recommended; gan needs genreclf[torch]. Test tracks are always real.",
)
_config_file = click.option(
    "--config", metavar="NAME|FILE", default="default", show_default=True,
    shell_complete=complete_config, help="Name of a preset, or a TOML file.",
)
group_regex = click.option(
    "--group-regex", metavar="REGEX",
    help="Take groups from the paths: the first parenthesis of this regular expression, as in "
    "'music/[^/]+/([^/]+)/' for music/GENRE/ARTIST/song.mp3.",
)
label_regex = click.option(
    "--label-regex", metavar="REGEX",
    help="Take genres from the paths: the first parenthesis of this regular expression, as in "
    "'music/[^/]+/([^/]+)/' for music/ARTIST/GENRE/song.mp3.",
)
labels = click.option(
    "--labels", default="folder", show_default=True, shell_complete=_complete_labels,
    metavar="folder|tags|none|FILE.csv",
    help="Where genres come from: folder is the first folder below PATH, or PATH itself; tags are "
    "the tags in the files; FILE.csv is a manifest with the columns path,label[,group] and paths "
    "relative to it.",
)
label_map = click.option(
    "--label-map", type=FILE, metavar="FILE",
    help="Rename genres: a CSV file with the columns from,to, or a TOML file. Case, spaces and "
    "punctuation are ignored; an empty 'to' removes the label.",
)
folds = click.option(
    "--folds", metavar="COLUMN", help="Column with published folds, used as they are.",
)
split = click.option(
    "--split", metavar="COLUMN", help="Column with a published split into train, valid and test.",
)
timeout = click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=SECONDS_A_FILE,
    show_default=True, metavar="SECONDS", help="Longest time for one file.",
)
target_precision = click.option(
    "--target-precision", metavar="SHARE",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Predict 'unknown' below the confidence from which this share of predictions is correct, "
    "such as 0.9. If no confidence reaches it, there is no threshold and the exit status is 3.",
)
out_of_core = click.option(
    "--out-of-core", is_flag=True,
    help="Read the folder TABLE one part at a time, for tables larger than memory. Needs "
    "--classifier lda; accuracy is measured on a tenth of the groups.",
)
no_cache = click.option(
    "--no-cache", is_flag=True,
    help="Neither read nor write the feature cache (see genreclf cache).",
)
output_format = click.option(
    "--format", "output_format", type=click.Choice(["table", "jsonl", "csv"]), default="table",
    show_default=True, help="A table for people; jsonl and csv for programs.",
)
json_file = click.option(
    "--json", "json_file", type=OUTPUT_FILE, metavar="FILE",
    help="Write the result as JSON to this file (- for standard output) instead.",
)
html_file = click.option(
    "--html", "html_file", type=REPORT_FILE, metavar="FILE",
    help="Also write an HTML report with charts to this file. It includes the importance of "
    "features, measured by up to 20,000 more predictions.",
)
review_file = click.option(
    "--html", "html_file", type=REPORT_FILE, metavar="FILE",
    help="Also write a page to this file, on which you listen to doubtful tracks in a browser and "
    "correct their labels (see genreclf labels apply).",
)
review_size = click.option(
    "--html-top", type=click.IntRange(min=1), default=100, show_default=True, metavar="N",
    help="Put up to N tracks of each kind on the page.",
)
plot_file = click.option(
    "--plot", "plot_file", type=PICTURE_FILE, metavar="FILE",
    help="Draw a picture into this .png, .svg or .pdf file (needs genreclf[plot]).",
)
trust = click.option(
    "--trust", is_flag=True,
    help="Load a model that someone else wrote, now and from now on. A .joblib file can run any "
    "code when it is loaded.",
)
# fmt: on


def _jobs(what: str) -> Callable[[Command], Command]:
    return click.option(
        "--jobs", "-j", type=click.IntRange(min=1), metavar="N",
        help=f"Number of {what} at a time; by default one for each available core.",
    )  # fmt: skip


jobs = _jobs("files")
fold_jobs = _jobs("folds")
file_and_fold_jobs = _jobs("files, and then of folds,")


@dataclass(frozen=True)
class ConfigOptions:
    """A configuration: the values of ``config``."""

    config: str = "default"
    overrides: tuple[str, ...] = ()

    def settings(self) -> "Config":
        """Read the configuration."""
        from genreclf.config.load import load_config

        return load_config(self.config, self.overrides)


@dataclass(frozen=True)
class Learning(ConfigOptions):
    """Settings for learning: the values of ``learning``."""

    classifier: str | None = None
    augment: str | None = None
    search: bool = False
    device: str | None = None

    @property
    def is_default(self) -> bool:
        """Whether all options have their default values."""
        return self == Learning()

    @property
    def leaves_classifier(self) -> bool:
        """Whether no option says anything about the classifier."""
        of_classifier = any(text.startswith("classifier") for text in self.overrides)
        return self.config == "default" and self.classifier is None and not of_classifier

    def settings(self) -> "Config":
        """Read the configuration; --set wins over --classifier and --augment."""
        chosen = {"classifier.name": self.classifier, "augment": self.augment}
        overrides = [f"{key}={value}" for key, value in chosen.items() if value]
        config = ConfigOptions(self.config, (*overrides, *self.overrides)).settings()
        if self.device is None:
            return config
        if not config.classifier.takes_frames:
            raise click.UsageError(
                f"--device is for --classifier convnet; {config.classifier.name} is trained on the "
                "CPU"
            )
        from genreclf.config.load import override

        return override(config, [f"classifier.device={self.device}"])


@dataclass(frozen=True)
class TableOptions:
    """Columns of a table: the values of ``table``."""

    label_column: str = "label"
    group: str = "group"
    group_regex: str | None = None
    features: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    join: tuple[Path, ...] = ()

    @property
    def is_default(self) -> bool:
        """Whether all options have their default values."""
        return self == TableOptions()

    def columns(self, **published: str | None) -> "Columns":
        """Return them as ``Columns``, with ``folds`` or ``split`` if given."""
        from genreclf.tables.columns import Columns

        return Columns(
            self.label_column, self.group, self.group_regex,
            features=self.features, ignore=self.ignore, join=self.join, **published,
        )  # fmt: skip


@dataclass(frozen=True)
class LabelOptions:
    """Sources of labels and groups: the values of ``labelling``."""

    labels: str
    label_map: Path | None
    group: str | None
    group_regex: str | None
    label_regex: str | None = None

    def chosen(self) -> "Labelling":
        """Return them as ``Labelling``; a contradiction is wrong usage."""
        from genreclf.library.labels import Labelling

        try:
            return Labelling(
                self.labels, self.label_map, self.group, self.group_regex, self.label_regex
            )
        except TableError as error:
            raise click.UsageError(str(error)) from None


# fmt: off
config = collected(ConfigOptions, _config_file, overrides, argument="config")
learning = collected(
    Learning,
    click.option("--classifier", type=click.Choice(CLASSIFIERS),
                 help="Classifier, with its default hyperparameters."),
    augment,
    click.option("--search", is_flag=True,
                 help="Tune the hyperparameters by cross-validation (slower). The accuracy is "
                 "measured on tracks that took no part in tuning."),
    click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]),
                 help="Where to train --classifier convnet; auto takes a graphics card if there "
                 "is one."),
    _config_file, overrides, argument="learning",
)
labelling = collected(
    LabelOptions, labels, label_regex, label_map,
    click.option("--group", type=click.Choice(list(GROUPS)),
                 help="Take groups from this tag, unless a manifest gives them. Tracks of one "
                 "group, such as an artist, are never in both training and test."),
    group_regex, argument="label_options",
)
table = collected(
    TableOptions,
    click.option("--label-column", metavar="COLUMN", default="label", show_default=True,
                 help="Column with the genre."),
    click.option("--group", metavar="COLUMN", default="group", show_default=True,
                 help="Column with the group, such as the artist or album. Tracks of one group "
                 "are never in both training and test."),
    group_regex,
    click.option("--features", metavar="PATTERN", multiple=True,
                 help="Use only the columns with this name or pattern ('mfcc.*'); repeatable."),
    click.option("--ignore", metavar="PATTERN", multiple=True,
                 help="Ignore the columns with this name or pattern; repeatable."),
    click.option("--join", type=FILE, metavar="TABLE", multiple=True,
                 help="Add the columns of another table of the same tracks; repeatable."),
    argument="table_options",
)
# fmt: on
