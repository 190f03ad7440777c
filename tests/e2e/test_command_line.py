"""The command line answers mistakes in sentences, and what it writes is whole or not there."""

import socket
from pathlib import Path
from urllib.parse import urlparse

import httpx2

from tests.servers.beatledger import Beatledger, Served


def test_a_header_without_an_end_is_cut_off(up: Served):
    """Others are served meanwhile, and the connection is closed after 64 kB."""
    at = urlparse(up.url)
    with socket.create_connection((at.hostname, at.port), timeout=20) as line:
        line.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ")
        answer = b""
        try:
            for _ in range(20):
                line.sendall(b"a" * 10_000)
                assert httpx2.get(f"{up.url}/livez").status_code == 200
        except OSError:
            pass  # it hung up while we were sending
        else:
            answer = line.recv(100)
            assert answer.startswith(b"HTTP/1.1 431"), answer


def test_a_failed_export_leaves_the_earlier_one(up: Served, tmp_path: Path):
    kept = tmp_path / "history.ndjson"
    kept.write_text("precious\n")
    nowhere = Beatledger(tmp_path / "nowhere")
    failed = nowhere.cli("audit", "export", "--out", str(kept))
    assert failed.returncode == 1
    assert kept.read_text() == "precious\n"
    assert [p.name for p in tmp_path.iterdir()] == ["history.ndjson"]


def test_a_token_is_not_signed_for_a_folder_that_is_none(tmp_path: Path):
    refused = Beatledger(tmp_path / "nowhere").cli("token", "--role", "producer", "--name", "x")
    assert refused.returncode == 1
    assert "is no data folder" in refused.stderr
    assert not (tmp_path / "nowhere").exists()


def test_a_name_that_would_deceive_an_auditor_gets_no_token(up: Served):
    refused = up.cli("token", "--role", "producer", "--name", "Ada\nGrace")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


def test_a_taken_port_is_told_before_anything_is_made(embedded_up: Beatledger, tmp_path: Path):
    second = Beatledger(tmp_path / "second")
    refused = second.cli("up", "--port", str(urlparse(embedded_up.url).port))
    assert refused.returncode == 1
    assert "choose another --port" in refused.stderr
    assert not second.folder.exists()


def test_an_unknown_status_of_jobs_is_refused(up: Served):
    assert up.cli("jobs", "list", "--status", "nope").returncode == 2


def test_a_second_up_on_the_same_folder_is_refused_in_a_sentence(embedded_up: Beatledger):
    second = embedded_up.cli("up", "--port", "0")
    assert second.returncode == 1
    assert "is in use by process" in second.stderr
    assert "Traceback" not in second.stderr
