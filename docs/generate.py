"""Writes docs/reference/*.md from the code: `python docs/generate.py`, or `--check` to compare only.

Belongs here: reading names, defaults and docstrings, and laying them out. Does not belong here: what a setting means
(`settings.toml`), and any explanation that the code does not give.
"""

from __future__ import annotations

import inspect
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import dagster as dg

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from courtlistener_assets.cli import main as command  # noqa: E402  (this checkout, not an installed copy)
from courtlistener_assets.download.bulk.corpus.columns import described  # noqa: E402
from courtlistener_assets.download.streams import STREAMS  # noqa: E402
from courtlistener_assets.location import location  # noqa: E402
from courtlistener_assets.settings import Settings  # noqa: E402
from resources import errors  # noqa: E402
from resources.connections.redis_keys import RedisKeys  # noqa: E402

sys.path.insert(0, str(ROOT / "docs"))
from views import sources, views  # noqa: E402

REFERENCE = ROOT / "docs" / "reference"
_SOURCES = ROOT / "deploy" / "dbt" / "models" / "sources.yml"
_NOTE = "<!-- Made by `make docs` from the code; do not edit. -->\n"
#: The settings under which the code location is described; no server is asked.
_ENVIRON = {
    "COURTLISTENER_API_TOKEN": "described",
    "COURTLISTENER_COURTS": "ca9,scotus",
    "COURTLISTENER_STREAMS": ",".join(stream.name for stream in STREAMS),
    "COURTLISTENER_VECTOR_STORE": "pgvector:chunks",
    "COURTLISTENER_EMBED": "mine.embeddings:embed",
    "COURTLISTENER_CORPUS_COURTS": "all",
}

_SETTINGS = """# Settings

Environment variables, read when the code location is loaded. An empty one counts as not set. An invalid value prevents
the start with the message shown.
"""
_REDIS_KEYS = """# Redis keys

All names begin with `COURTLISTENER_REDIS_PREFIX`, and every key has a time to live. None contains a token or the text
of a document. `{hour}` is UTC, as in `2024-01-31_13`; `{account}` is `COURTLISTENER_ACCOUNT` or a hash of the token.

| key | type and content |
|---|---|
"""
_ERRORS = """# Errors

Every error that this project raises on purpose. *Retried* says whether the same call can succeed later without any
change; Dagster's retries follow it.

| error | meaning | retried |
|---|---|---|
"""
_CORPUS = """# Columns of the corpus

The tables of [the whole corpus as Parquet](../bulk.md#the-whole-corpus-as-parquet). Besides these columns, readers see
`court` and `year` of the directories. A column that a newer bulk file has, and that is not known here, is kept under
its own name, as text."""
_VIEWS = """# Views

What is stored, to be read: [with SQL, as Parquet, with dbt](../guide/read.md). They are in the schema `courtlistener`.
An empty value, and one that is not what the column should be, is NULL."""
_ASSETS = """# Assets, jobs and sensors

What the code location defines with all streams, a vector store and a corpus; `COURTLISTENER_STREAMS`,
`COURTLISTENER_VECTOR_STORE` and `COURTLISTENER_CORPUS_COURTS` say which of them it has. A key such as
`ca9|2024-01-01` names a partition of court and month.
"""
_METADATA = """
## Metadata

What the UI shows beside a partition or a run. Numbers count what their name says; a share is of 1, times are UTC. What
is empty is left out. `{...}` stands for what varies.
"""


# --- settings --------------------------------------------------------------------------------------------------------


class _Environ(dict[str, str]):
    """An environment that remembers which variables were asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: dict[str, None] = {}

    def get(self, name: str, default: Any = None) -> Any:
        self.asked[name] = None
        return super().get(name, default)


def setting_names() -> set[str]:
    """Return all variables that the code location reads."""
    environ = _Environ({})
    Settings.from_environ(environ)
    return set(environ.asked)


def settings_page() -> str:
    """Meaning, default and check of every setting; raises SystemExit if one is not described."""
    described = tomllib.loads((ROOT / "docs" / "settings.toml").read_text(encoding="utf-8"))
    names = setting_names()
    if missing := names - set(described):
        raise SystemExit(f"docs/settings.toml does not describe {sorted(missing)}")
    if unknown := set(described) - names:
        raise SystemExit(f"docs/settings.toml describes {sorted(unknown)}, which no code reads")
    return _SETTINGS + "".join(_setting(name, entry) for name, entry in described.items())


def _setting(name: str, entry: Mapping[str, str]) -> str:
    lines = [f"\n## `{name}`\n", f"{entry['meaning']}\n", f"* Default: {entry.get('default') or _default_of(name)}"]
    if "example" in entry:
        lines.append(f"* Example: `{entry['example']}`")
    if refusal := _refusal_of(name):
        lines.append(f"* An invalid value: {refusal}")
    return "\n".join(lines) + "\n"


def _default_of(name: str) -> str:
    value = getattr(Settings.from_environ({}), name.removeprefix("COURTLISTENER_").lower(), None)
    if value in (None, "", ()):
        return "none"
    if isinstance(value, tuple):
        value = ",".join(value)
    elif hasattr(value, "strftime"):
        value = f"{value:%Y-%m}"
    elif isinstance(value, float):
        value = f"{value:g}"
    return f"`{value}`"


def _refusal_of(name: str) -> str | None:
    try:
        # The port and its like are read only beside a host.
        Settings.from_environ({"REDIS_HOST": "localhost", name: "?"})
    except errors.SettingError as error:
        return str(error)
    return None


# --- the other pages -------------------------------------------------------------------------------------------------


def redis_keys_page() -> str:
    """Return every key with its type and meaning."""
    lines = []
    for name, method in vars(RedisKeys).items():
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        arguments = {each: f"{{{each}}}" for each in list(inspect.signature(method).parameters)[1:]}
        lines.append(f"| `{getattr(RedisKeys(), name)(**arguments)}` | {_cell(method.__doc__)} |\n")
    return _REDIS_KEYS + "".join(lines)


def errors_page() -> str:
    """Return the tree of errors with what each means."""
    lines = []
    for depth, error in _tree(errors.CourtListenerAssetsError):
        retried = "yes" if error.retryable else "no"
        lines.append(f"| {'&nbsp;' * 4 * depth}`{error.__name__}` | {_cell(error.__doc__)} | {retried} |\n")
    return _ERRORS + "".join(lines)


def _tree(error: type[errors.CourtListenerAssetsError], depth: int = 0) -> Iterator[tuple[int, Any]]:
    yield depth, error
    for child in error.__subclasses__():
        # Errors of the local commands are no part of the library.
        if child.__module__ == errors.__name__:
            yield from _tree(child, depth + 1)


def assets_page() -> str:
    """Assets, checks, jobs, schedules and sensors of the code location."""
    definitions = location(_ENVIRON)
    graph = definitions.resolve_asset_graph()
    assets = sorted(
        (graph.get(key) for key in graph.get_all_asset_keys()), key=lambda each: (each.group_name, each.key)
    )
    checks = [graph.get(key) for key in sorted(graph.asset_check_keys, key=str)]
    tables = {
        "Asset checks": [
            (f"{each.key.asset_key.to_user_string()}: {each.key.name}", each.description) for each in checks
        ],
        "Jobs": [(each.name, each.description) for each in definitions.jobs or ()],
        "Schedules": [(each.name, each.description) for each in definitions.schedules or ()],
        "Sensors": [(each.name, each.description) for each in definitions.sensors or ()],
    }
    page = _ASSETS + "\n## Assets\n" + "".join(_asset(each) for each in assets)
    return page + "".join(_table(title, rows) for title, rows in tables.items() if rows) + _metadata()


def shown_metadata() -> list[dict[str, Any]]:
    """Return what `metadata.toml` says: `assets` or `checks`, `where`, and `names` with their meanings."""
    found: list[dict[str, Any]] = tomllib.loads((ROOT / "docs" / "metadata.toml").read_text(encoding="utf-8"))["shown"]
    return found


def _metadata() -> str:
    """What the UI shows of materializations, observations and checks."""
    page = _METADATA
    for each in shown_metadata():
        title = ", ".join(f"`{name}`" for name in each.get("assets", each.get("checks")))
        rows = "".join(f"| `{name}` | {_cell(meaning)} |\n" for name, meaning in each["names"].items())
        page += f"\n**{each['where']}**, of {title}:\n\n| name | what it says |\n|---|---|\n{rows}"
    return page


def _asset(asset: Any) -> str:
    above = ", ".join(f"`{key.to_user_string()}`" for key in sorted(asset.parent_keys))
    partitions = asset.partitions_def
    if isinstance(partitions, dg.MultiPartitionsDefinition):
        by = " and ".join(f"{each.name}" for each in partitions.partitions_defs)
    else:
        by = "none" if partitions is None else "one dimension"
    text = "\n\n".join(" ".join(each.split()) for each in (asset.description or "").split("\n\n"))
    facts = f"Group `{asset.group_name}`. Partitions: {by}. Made from: {above or 'CourtListener'}."
    return f"\n### `{asset.key.to_user_string()}`\n\n{text}\n\n{facts}\n"


def _table(title: str, rows: Iterable[tuple[str, str | None]]) -> str:
    lines = [f"| `{name}` | {_cell(text)} |\n" for name, text in sorted(rows, key=lambda row: row[0])]
    return f"\n## {title}\n\n| name | what it does |\n|---|---|\n" + "".join(lines)


def commands_page() -> str:
    """Return the command `courtlistener` with its subcommands, as `--help` shows them."""
    pages = []
    for path, each in _commands("courtlistener", command):
        context = click.Context(each, info_name=path, max_content_width=100, terminal_width=100)
        pages.append(f"\n## `{path}`\n\n```text\n{each.get_help(context)}\n```\n")
    return "# Commands\n" + "".join(pages)


def corpus_page() -> str:
    """Return the columns of the corpus, table by table."""
    lines = [_CORPUS]
    last = ""
    for table, column, kind, meaning in described():
        if table != last:
            lines.append(f"\n## `{table}`\n\n| column | type | meaning |\n|---|---|---|")
            last = table
        lines.append(f"| `{column}` | {kind} | {_cell(meaning)} |")
    return "\n".join(lines) + "\n"


def views_page() -> str:
    """Return the columns of the flat views, view by view."""
    lines = [_VIEWS]
    for view in views():
        lines.append(
            f"\n## `{view.name}`\n\n{view.meaning}\n\n| column | type | field of the API, and meaning |\n|---|---|---|"
        )
        lines += [f"| `{name}` | {kind} | {_cell(meaning)} |" for name, kind, meaning in view.columns]
    return "\n".join(lines) + "\n"


def _commands(path: str, each: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, each
    for name, child in sorted(getattr(each, "commands", {}).items()):
        yield from _commands(f"{path} {name}", child)


def _cell(text: str | None) -> str:
    """Return a docstring on one line, safe within a table."""
    return " ".join((text or "").split()).replace("|", "\\|")


PAGES = {
    "settings.md": settings_page,
    "redis-keys.md": redis_keys_page,
    "assets.md": assets_page,
    "errors.md": errors_page,
    "commands.md": commands_page,
    "corpus.md": corpus_page,
    "views.md": views_page,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or say with `--check` which are out of date; returns the exit status."""
    check, stale = "--check" in arguments, 0
    made = {REFERENCE / name: _NOTE + "\n" + page() for name, page in PAGES.items()}
    for path, text in {**made, _SOURCES: sources()}.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {'out of date, run make docs' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
