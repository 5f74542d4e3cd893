"""How sure we must be of a Postgres server, by its address and the environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from resources.errors import SettingError
from resources.postgres_address import advice, is_local, tls_parameters, with_tls


@pytest.fixture(autouse=True)
def no_authorities_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://localhost/x",
        "postgresql://u:p@127.0.0.1:5432/x",
        "postgresql://[::1]/x",
        "postgresql:///x?host=/run/postgresql",
        "postgresql:///x",
        "postgresql://localhost:1,127.0.0.2:2/x",
    ],
)
def test_a_server_on_this_machine_is_left_to_libpq(address: str) -> None:
    assert is_local(address, {})
    assert tls_parameters(address, {}) == {}


@pytest.mark.parametrize(
    "address",
    ["postgresql://db.example/x", "postgresql://10.0.0.7/x", "postgresql://localhost,db.example/x",
     "postgresql:///x?host=db.example", "host=db.example dbname=x", "postgresql:///x?hostaddr=10.0.0.7"],
)  # fmt: skip
def test_a_server_elsewhere_must_prove_its_name(address: str) -> None:
    assert tls_parameters(address, {}) == {"sslmode": "verify-full", "sslrootcert": DEFAULT_CA_BUNDLE_PATH}


def test_the_environment_of_libpq_counts() -> None:
    assert tls_parameters("postgresql:///x", {"PGHOST": "db.example"})["sslmode"] == "verify-full"
    assert tls_parameters("postgresql://db.example/x", {"PGSSLMODE": "require"}) == {}
    assert tls_parameters("postgresql://db.example/x", {"PGSSLROOTCERT": "/ca.pem"}) == {"sslmode": "verify-full"}


def test_what_the_address_says_stays() -> None:
    for said in ("sslmode=disable", "sslmode=require", "sslmode=prefer", "sslmode=verify-full&sslrootcert=/ca.pem"):
        assert tls_parameters(f"postgresql://db.example/x?{said}", {}) == {}


def test_the_system_s_authorities_are_found_where_the_driver_would_not_look() -> None:
    for said in ("sslmode=verify-full", "sslmode=verify-full&sslrootcert=system"):
        assert tls_parameters(f"postgresql://db.example/x?{said}", {}) == {"sslrootcert": DEFAULT_CA_BUNDLE_PATH}


def test_an_authority_in_the_home_directory_is_left_to_libpq(tmp_path: Path) -> None:
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").touch()
    assert tls_parameters("postgresql://db.example/x", {}) == {"sslmode": "verify-full"}


def test_a_url_keeps_its_parameters() -> None:
    url = "postgresql://u:p%40ss@db.example/x?sslrootcert=/ca.pem&application_name=a%20b"
    assert with_tls(url, {}) == f"{url}&sslmode=verify-full"
    assert with_tls("postgresql://localhost/x?passfile=/run/word", {}) == "postgresql://localhost/x?passfile=/run/word"


def test_an_address_that_cannot_be_read_is_named_without_its_password() -> None:
    with pytest.raises(SettingError, match="POSTGRES_URL cannot be read") as raised:
        tls_parameters("postgresql://u:a-secret@db.example:port/x", {})
    assert "a-secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("problem", "remedy"),
    [
        ("SSL error: certificate verify failed", "sslrootcert="),
        ("server does not support SSL, but SSL was required", "sslmode=disable"),
        (
            'FATAL: no pg_hba.conf entry for host "10.0.0.7", user "u", database "x", no encryption',
            "sslmode=verify-full",
        ),
        ('root certificate file "/ca.pem" does not exist', "must exist"),
    ],
)
def test_refusals_come_with_advice(problem: str, remedy: str) -> None:
    assert remedy in advice(problem)


def test_other_problems_come_without() -> None:
    assert advice('password authentication failed for user "u"') == ""
