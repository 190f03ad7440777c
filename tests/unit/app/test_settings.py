"""What an operator set wrongly is told in a sentence that shows no secret."""

from __future__ import annotations

import pytest

from adapters.postgres.cannot_start import CannotStart
from app.cli.local import read_settings, settings_with
from app.settings import Distributed, Embedded, Migration

COMPLETE = {
    "PROFILE": "distributed",
    "DATABASE_URL": "postgresql://beatledger_app:hunter2@db/beatledger",
    "KAFKA_BOOTSTRAP": "kafka:9092",
    "MONGO_URL": "mongodb://beatledger:hunter3@mongo/beatledger",
    "ARTEFACTS_URL": "s3://beatledger/artefacts",
    "SECRET": "a secret of more than thirty-two bytes",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in COMPLETE.items():
        monkeypatch.setenv(f"BEATLEDGER_{name}", value)
    return monkeypatch


def test_the_profile_decides_which_settings_there_are(environment: pytest.MonkeyPatch):
    assert isinstance(settings_with(), Distributed)
    environment.setenv("BEATLEDGER_PROFILE", "embedded")
    assert isinstance(settings_with(), Embedded)


@pytest.mark.parametrize("name", [name for name in COMPLETE if name != "PROFILE"])
def test_the_distributed_profile_starts_with_no_default_for_its_servers_and_secret(
    environment: pytest.MonkeyPatch, name: str
):
    environment.delenv(f"BEATLEDGER_{name}")
    with pytest.raises(CannotStart, match=f"BEATLEDGER_{name} "):
        settings_with()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("SECRET", "too short"),
        ("ARTEFACTS_URL", "/var/artefacts"),
        ("KAFKA_BOOTSTRAP", ""),
        ("DATABASE_URL", "beatledger_app@db"),
        ("MONGO_URL", "mongo:27017/beatledger"),
        ("PROFILE", "clustered"),
        ("PORT", "http"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_shown(
    environment: pytest.MonkeyPatch, name: str, wrong: str
):
    environment.setenv(f"BEATLEDGER_{name}", wrong)
    with pytest.raises(CannotStart, match=f"BEATLEDGER_{name} ") as refusal:
        settings_with()
    shown = f"{refusal.value!r} {refusal.value}"
    assert not wrong or wrong not in shown
    assert "hunter" not in shown


def test_settings_print_no_password():
    assert "hunter" not in repr(settings_with())


def test_a_migration_needs_the_owner_besides(environment: pytest.MonkeyPatch):
    with pytest.raises(CannotStart, match="BEATLEDGER_DATABASE_OWNER_URL "):
        read_settings(Migration)
    environment.setenv("BEATLEDGER_DATABASE_OWNER_URL", "postgresql://beatledger_owner:x@db/beatledger")
    assert read_settings(Migration).kafka_replicas == 3
