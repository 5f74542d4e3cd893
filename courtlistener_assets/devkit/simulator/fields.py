"""The parameters `fields` and `omit`: which keys of an object are shown.

Belongs here: that selection. Does not belong here: what else a query asks.
"""

from __future__ import annotations

from courtlistener_assets.devkit.simulator.shapes import Record


def select_fields(record: Record, parameters: dict[str, list[str]]) -> Record:
    """The object with the keys asked for, in its own order; `recap_documents__id` reaches into nested objects."""
    wanted, unwanted = _names(parameters, "fields"), _names(parameters, "omit")
    return _select(record, wanted, unwanted) if wanted or unwanted else record


def _names(parameters: dict[str, list[str]], name: str) -> list[str]:
    return [one for one in parameters.get(name, [""])[-1].split(",") if one]


def _select(record: Record, wanted: list[str], unwanted: list[str]) -> Record:
    shown = {}
    for key, value in record.items():
        inner_wanted, inner_unwanted = _below(key, wanted), _below(key, unwanted)
        if key in unwanted or (wanted and key not in wanted and not inner_wanted):
            continue
        if (inner_wanted or inner_unwanted) and isinstance(value, list):
            value = [_select(one, inner_wanted, inner_unwanted) if isinstance(one, dict) else one for one in value]
        shown[key] = value
    return shown


def _below(key: str, names: list[str]) -> list[str]:
    return [name.removeprefix(f"{key}__") for name in names if name.startswith(f"{key}__")]
