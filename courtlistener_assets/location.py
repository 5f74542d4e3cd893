"""The code location of this checkout, from settings as they stand in environment variables.

Secrets go to the resources as `dg.EnvVar`, which Dagster resolves in the run and never stores.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import dagster as dg

from courtlistener_assets.defs.build import build_definitions
from courtlistener_assets.executor import interruptible_executor
from courtlistener_assets.settings import Settings, variable_of
from resources.courtlistener.token import account_of
from resources.sealed import SealedFiles


def location(environ: Mapping[str, str]) -> dg.Definitions:
    """Return all definitions for the settings in `environ`; raises SettingError."""
    settings, found = Settings.from_environ(environ), dict(environ)
    written = environ.get("REDIS_URL", "").strip()
    holds_secret = written or environ.get("REDIS_PASSWORD") or environ.get("AIRFLOW_CONN_REDIS_DEFAULT")
    if holds_secret and settings.redis_url != written:
        # An address made of parts may hold the password: it goes the way of all secrets too.
        os.environ["REDIS_URL"] = found["REDIS_URL"] = settings.redis_url
    secrets = {each.name: variable_of(each) for each in fields(Settings) if each.metadata["secret"]}
    named: dict[str, Any] = {name: dg.EnvVar(each) for name, each in secrets.items() if found.get(each, "").strip()}
    account = settings.account
    if settings.api_token and not settings.api_token_file:  # A token in a file can change: only a run knows it.
        account = account or account_of(settings.api_token)
    return dg.Definitions.merge(
        build_definitions(replace(settings, account=account, **named)),
        # Steps are short of quota, not of processors; and a run may not choose where Dagster's own files go.
        dg.Definitions(executor=interruptible_executor, resources={"io_manager": SealedFiles()}),
    )
