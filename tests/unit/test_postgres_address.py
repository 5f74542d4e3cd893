"""How sure we must be of a Postgres server, by its address and the environment."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from courtlistener_assets.operations.doctor.postgres_checks import advice
from resources.connections.postgres_address import is_local, tls_parameters, with_tls
from resources.errors import SettingError


@pytest.fixture(autouse=True)
def no_authorities_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://localhost/x",
        "postgresql://u:p@127.0.0.1:5432/x",
        "postgresql://[::1]/x",
        "postgresql:///x?host=/run/postgresql",
        "postgresql:///x",
        "postgresql://localhost:1,127.0.0.2:2/x",
        "postgresql://localhost/x?hostaddr=127.0.0.1",
    ],
)
def test_a_server_on_this_machine_is_left_to_libpq(address: str) -> None:
    assert is_local(address, {})
    assert tls_parameters(address, {}) == {}


@pytest.mark.parametrize(
    "address",
    ["postgresql://db.example/x", "postgresql://10.0.0.7/x", "postgresql://localhost,db.example/x",
     "postgresql:///x?host=db.example", "host=db.example dbname=x", "postgresql:///x?hostaddr=10.0.0.7",
     "postgresql://localhost/x?hostaddr=10.0.0.5", "host=localhost hostaddr=127.0.0.1,10.0.0.5", "postgresql:///x?service=far",
     "postgresql://localhost/x?service=far"],
)  # fmt: skip
def test_a_server_elsewhere_must_prove_its_name(address: str) -> None:
    assert tls_parameters(address, {}) == {"sslmode": "verify-full", "sslrootcert": DEFAULT_CA_BUNDLE_PATH}


def test_the_environment_of_libpq_counts() -> None:
    assert tls_parameters("postgresql:///x", {"PGHOST": "db.example"})["sslmode"] == "verify-full"
    for elsewhere in ({"PGHOSTADDR": "10.0.0.5"}, {"PGSERVICE": "far"}):
        assert tls_parameters("postgresql://localhost/x", elsewhere)["sslmode"] == "verify-full"
    assert is_local("postgresql://localhost/x", {"PGHOSTADDR": "127.0.0.1"})


def test_what_the_address_says_stays() -> None:
    for said in ("sslmode=disable", "sslmode=require", "sslmode=prefer", "sslmode=verify-full&sslrootcert=/ca.pem"):
        assert tls_parameters(f"postgresql://db.example/x?{said}", {}) == {}


def test_the_system_s_authorities_are_found_where_the_driver_would_not_look() -> None:
    for said in ("sslmode=verify-full", "sslmode=verify-full&sslrootcert=system"):
        assert tls_parameters(f"postgresql://db.example/x?{said}", {}) == {"sslrootcert": DEFAULT_CA_BUNDLE_PATH}


def test_a_url_of_this_machine_stays_as_it_is() -> None:
    assert with_tls("postgresql://localhost/x?passfile=/run/word", {}) == "postgresql://localhost/x?passfile=/run/word"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///x?host=/var/run/postgresql",
        "postgresql:///x?host=db.example",
        "postgresql://u:a#b@db.example/x",
        "postgresql://u:a?b@db.example:5433/x",
        "postgresql://u:a#b@db.example/x?application_name=c%20d%2Be",
        "postgresql://db.example/x?sslmode=verify-ca&sslrootcert=system&application_name=c",
        "postgres://db.example",
    ],
)
@pytest.mark.parametrize("environ", [{}, {"PGHOSTADDR": "10.0.0.5"}])
def test_a_url_with_tls_means_what_it_meant(url: str, environ: dict[str, str]) -> None:
    added = tls_parameters(url, environ)
    before, after = (sqlalchemy.make_url(each) for each in (url, with_tls(url, environ)))
    assert after == before.update_query_dict(added)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:zebra-walrus@db.example:port/x",
        "postgresql://u:zebra@walrus:quokka@db.example/x",
        "postgresql://u:zebra@walrus@db.example/x",
        "postgresql://u:zebra/walrus@db.example/x",
        "postgresql://u:12/walrus@db.example/x",
        "postgresql://u:zebra@walrus?quokka@db.example/x",
        "postgresql://u:zebra@walrus/quokka@db.example/x",
        "postgresql://u:%zebra@db.example/x",
        "postgresql://u:zebra\udcff@db.example/x",
        "host=db.example password=zebra walrus dbname=x",
        "postgresql:/zebra",
    ],
)
def test_an_address_that_cannot_be_read_is_named_without_any_piece_of_its_password(address: str) -> None:
    with pytest.raises(SettingError, match="POSTGRES_URL cannot be read: it must be like postgresql://") as raised:
        tls_parameters(address, {})
    assert not [piece for piece in ("zebra", "walrus", "quokka") if piece in str(raised.value)]


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
