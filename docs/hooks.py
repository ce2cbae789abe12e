"""Hooks that mkdocs calls while it builds the site.

They add the project's other documents as pages, include sections of documents
(``{{ benchmarks/README.md: Tables }}``), convert notebooks to Markdown, and generate the reference
of commands and configuration from the code.
"""

import json
import posixpath
import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from textwrap import dedent
from typing import Any

import click
import msgspec
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from genreclf.cli import cli
from genreclf.config.load import preset_names
from genreclf.config.schema import Config
from genreclf.features.catalogue import FEATURES
from genreclf.features.librosa_engine import is_in_librosa

ROOT = Path(__file__).parent.parent
DOCUMENTS = (
    *("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "data/gtzan.md"),
    *("benchmarks/README.md", "benchmarks/accuracy.md"),
)
INCLUDE = re.compile(r"^\{\{ ([\w./-]+)(?:: (.+))? \}\}$", re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")
# "mkdocs serve" gives each page a canonical link, which says where the page is and loads nothing.
LOADED = re.compile(
    r"<(?:script|link(?![^>]*\brel=\"?canonical)|img|iframe|source)\b[^>]*?"
    r"\b(?:src|href)=\"?(?:https?:)?//"
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents outside ``docs`` and the notebooks as pages."""
    for name in DOCUMENTS:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            page = file.src_uri.replace(".ipynb", ".md")
            files.append(File.generated(config, page, content=notebook(file.content_string)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace the markers of a page by included and generated text."""
    uri = page.file.src_uri
    source = uri if uri in DOCUMENTS else f"docs/{uri}"
    text = relinked(markdown, source, uri)
    return INCLUDE.sub(
        lambda found: (
            GENERATED[found[1]]() if found[1] in GENERATED else included(found[1], found[2], uri)
        ),
        text,
    )


def on_post_build(config: MkDocsConfig) -> None:
    """Fail if a page loads anything from another site."""
    for page in Path(config.site_dir).rglob("*.html"):
        if found := LOADED.search(page.read_text(encoding="utf-8")):
            raise PluginError(f"{page}: loads from elsewhere: {found[0]}")


def relinked(text: str, source: str, uri: str) -> str:
    """Convert links between files of the project to links between pages of the site."""

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[1]))
        return posixpath.relpath(target.removeprefix("docs/"), posixpath.dirname(uri) or ".")

    return LINK.sub(link, text)


def included(name: str, title: str | None, uri: str) -> str:
    """Return a section of a document, or a whole file as a code block."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if title is None:
        return f"```{Path(name).suffix[1:]}\n{text}```"
    heading = rf"^## {re.escape(title)}(?::[^\n]*)?\n"
    found = re.search(rf"{heading}(.+?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise PluginError(f"{uri}: {name} has no section {title!r}")
    return relinked(found[1].strip(), name, uri)


def notebook(text: str) -> str:
    """Return a notebook's cells as Markdown."""
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    return "\n\n".join(parts)


def commands(command: click.Command = cli, parent: click.Context | None = None) -> str:
    """Return the help of a command and its subcommands as Markdown."""
    name = command.name if parent else "genreclf"
    context = click.Context(command, parent, info_name=name, **command.context_settings)
    parts = [f"##{'#' * (context.command_path.count(' ') - 1)} {context.command_path}"]
    parts.append(f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```")
    parts += paragraphs(cleandoc(f"{command.help}\n\n{command.epilog or ''}"))
    for parameter in command.get_params(context):
        name, text = parameter.get_help_record(context) or ("", "")
        if text:
            parts.append(f"`{name}`\n:   {escaped(text)}")
    if isinstance(command, click.Group):
        parts += [commands(below, context) for below in command.commands.values()]
    return "\n\n".join(parts)


def paragraphs(text: str) -> Iterator[str]:
    """Convert the paragraphs of a help text to Markdown, preformatted ones to code blocks."""
    for paragraph in filter(None, (part.strip("\n") for part in text.split("\n\n"))):
        if paragraph.startswith("\b"):
            title, *lines = paragraph.split("\n")[1:]
            yield f"{title}\n\n```text\n{dedent(chr(10).join(lines))}\n```"
        else:
            yield escaped(paragraph)


def escaped(text: str) -> str:
    """Escape the characters that have a meaning in Markdown."""
    return re.sub(r"([*_<\[\]`\\])", r"\\\1", text)


def configuration() -> str:
    """List the keys of each section with their defaults and allowed values."""
    sections = msgspec.json.schema(Config)["$defs"]
    parts = subsections(sections["Config"], "", sections)
    view = sections["EmbeddingView"]
    of_embeddings = ["### `[[views]]` with `embedding`", cleandoc(view["description"]), keys(view)]
    return "\n\n".join(["### At the top", keys(sections["Config"]), *parts, *of_embeddings])


def subsections(section: dict[str, Any], above: str, sections: dict[str, Any]) -> Iterator[str]:
    """Describe the sections within a section, whose names begin with ``above``, and theirs."""
    for name, kind in section["properties"].items():
        for reference in kind.get("anyOf", [kind]):
            if below := sections.get(reference.get("$ref", "").removeprefix("#/$defs/")):
                tags = below["properties"].get("name", {}).get("enum", [])
                tag = f' name = "{tags[0]}"' if len(tags) == 1 else ""
                title = f"[{above}{name}]{tag}"
                yield f"### `{title}`\n\n{below['description']}\n\n{keys(below)}"
                yield from subsections(below, f"{above}{name}.", sections)


def keys(section: dict[str, Any]) -> str:
    """Return a table of the keys of a section that are not sections themselves."""
    rows = ["| key | default | allowed values |", "|---|---|---|"]
    for key, kind in section["properties"].items():
        if "default" in kind and not any("$ref" in part for part in alternatives(kind)):
            # Lists are long; the default configuration shows them in full.
            default = (
                "" if isinstance(kind["default"], list) else f"`{json.dumps(kind['default'])}`"
            )
            rows.append(f"| `{key}` | {default} | {allowed(kind)} |")
    return "\n".join(rows) if len(rows) > 2 else "It has no keys."


def alternatives(kind: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the alternatives of a JSON schema."""
    kind = kind.get("items", kind)
    return list(kind.get("anyOf", [kind]))


def allowed(kind: dict[str, Any]) -> str:
    """Describe in words what a JSON schema allows."""
    if "items" in kind:
        return f"a list of {allowed(kind['items'])}"
    if "anyOf" in kind:
        return " or ".join(map(allowed, kind["anyOf"]))
    if "enum" in kind:
        return ", ".join(f"`{json.dumps(value)}`" for value in kind["enum"])
    if kind["type"] == "null":
        return "omitted"
    limits = {
        "minimum": "from {:,}", "exclusiveMinimum": "above {:,}",
        "maximum": "to {:,}", "exclusiveMaximum": "below {:,}",
    }  # fmt: skip
    words = [form.format(kind[name]) for name, form in limits.items() if name in kind]
    return " ".join([kind["type"], *words])


def presets() -> str:
    """Return the file of each preset."""
    names = (name for name in preset_names() if name != "default")
    return "\n\n".join(
        f"### `{name}`\n\n{included(f'configs/{name}.toml', None, '')}" for name in names
    )


def features() -> str:
    """List the features of the catalogue."""
    default = Config()
    rows = [
        "| feature | description | group | one value per | rows | librosa |",
        "|---|---|---|---|---|---|",
    ]
    for name, feature in FEATURES.items():
        n_rows = len(feature.row_names(default))
        summary = feature.summary.removesuffix(".").replace("``", "`")
        engine = "yes" if is_in_librosa(name, default) else ""
        cells = (f"`{name}`", summary, feature.group, feature.per, str(n_rows), engine)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


GENERATED = {
    "features": features,
    "commands": commands,
    "configuration": configuration,
    "presets": presets,
}
