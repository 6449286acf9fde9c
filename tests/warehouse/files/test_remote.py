"""Lists in object stores: read by a private copy, written whole or not at all, and no credential in a log."""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailvet.errors import SettingsError, SourceError, UnavailableError
from mailvet.exports.export import export
from mailvet.private_files import PrivateFolder
from mailvet.runs.results import RunResult
from mailvet.runs.run import run
from mailvet.runs.sources import open_source
from mailvet.settings import Settings
from mailvet.warehouse.files.remote import fetch, is_remote, remote_digest, send
from tests.warehouse.files.object_stores import SECRET, filesystem, gcs_server, s3_server

CSV = b"email,name\nann@example.com,Ann\ninfo@example.com,Info\nnothing,No\n"


@pytest.fixture(scope="module", params=["s3", "gs"])
def bucket(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as environment:
        served = (
            s3_server(environment) if request.param == "s3" else gcs_server(environment, tmp_path_factory.mktemp("gcs"))
        )
        with served as found:
            yield found


@pytest.fixture
def folder(bucket: str, request: pytest.FixtureRequest) -> str:
    """A folder of its own for each test, with a list in it."""
    found = f"{bucket}/{request.node.originalname}"
    filesystem(bucket.partition("://")[0]).pipe(f"{found}/crm.csv", CSV)
    return found


def content(url: str) -> bytes:
    system: Any = filesystem(url.partition("://")[0])
    return bytes(system.cat_file(url))


def settings_of(tmp_path: Path) -> Settings:
    return Settings.load(depth="offline", store={"path": tmp_path / "verdicts.duckdb"})


def verified(source: str, output: str, tmp_path: Path, **more: Any) -> RunResult:
    settings = settings_of(tmp_path)
    warehouse = open_source(source, settings)
    try:
        return run(warehouse, settings, write_back=False, output=output, **more)
    finally:
        warehouse.close()


def left_behind() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob(".mailvet-*")}


def test_a_list_comes_out_of_a_bucket_and_goes_back_into_it(folder: str, tmp_path: Path) -> None:
    before = left_behind()
    result = verified(f"{folder}/crm.csv", f"{folder}/out.csv", tmp_path)
    assert result.source == "crm.csv"
    assert (list(result.uploaded), list(result.outputs)) == ([f"{folder}/out.csv"], [])
    lines = content(f"{folder}/out.csv").decode().splitlines()
    assert lines[0].startswith("email,name,mailvet_status")
    assert [line.partition(",")[0] for line in lines[1:]] == ["ann@example.com", "info@example.com", "nothing"]
    assert left_behind() <= before


def test_a_split_result_is_several_objects(folder: str, tmp_path: Path) -> None:
    result = verified(f"{folder}/crm.csv", f"{folder}/out.parquet", tmp_path, split_by="recommendation")
    names = {str(name).removeprefix(f"{folder}/out.") for name in result.uploaded}
    assert names == {"send.parquet", "reverify.parquet", "do_not_send.parquet"}
    assert content(f"{folder}/out.send.parquet").startswith(b"PAR1")


def test_an_object_that_mailvet_did_not_write_stays(folder: str, tmp_path: Path) -> None:
    source, output = f"{folder}/crm.csv", f"{folder}/out.csv"
    send_bytes(b"mine\n", output, tmp_path)
    with pytest.raises(SourceError, match=r"out\.csv is there already and was not written by mailvet"):
        verified(source, output, tmp_path)
    assert content(output) == b"mine\n"
    verified(source, output, tmp_path, overwrite=True)
    verified(source, output, tmp_path)
    send_bytes(b"changed\n", output, tmp_path)
    with pytest.raises(SourceError, match="was changed since"):
        verified(source, output, tmp_path)


def send_bytes(data: bytes, url: str, tmp_path: Path) -> None:
    path = tmp_path / "sent"
    path.write_bytes(data)
    send(path, url)


def test_a_list_is_handed_over_into_a_bucket_with_what_changed(folder: str, tmp_path: Path) -> None:
    verified(f"{folder}/crm.csv", f"{folder}/out.csv", tmp_path)
    settings = settings_of(tmp_path)

    def hand(**more: Any) -> Any:
        warehouse = open_source(f"{folder}/crm.csv", settings, writable=False, updatable=False)
        try:
            return export(
                warehouse, settings, to="brevo", output=f"{folder}/news.csv", among=["send", "reverify"], **more
            )
        finally:
            warehouse.close()

    result = hand()
    assert (list(result.files), result.manifest) == ([f"{folder}/news.csv"], f"{folder}/news.csv.manifest.json")
    assert content(f"{folder}/news.csv") == b"EMAIL\nann@example.com\n"
    assert hand(changes_since=result.manifest).changes == {"added": 0, "changed": 0, "removed": 0}
    assert content(f"{folder}/news.removed.csv") == b"EMAIL\n"
    send_bytes(b"EMAIL\nmine@example.com\n", f"{folder}/news.csv", tmp_path)
    with pytest.raises(SourceError, match="was changed since"):
        hand()


def test_no_credential_and_no_address_stands_in_a_log(
    folder: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        verified(f"{folder}/crm.csv", f"{folder}/out.csv", tmp_path)
    assert SECRET not in caplog.text
    assert "ann@example.com" not in caplog.text


def test_what_is_not_there_is_said(folder: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=rf"There is no file {folder}/other\.csv"):
        open_source(f"{folder}/other.csv", settings_of(tmp_path))
    assert remote_digest(f"{folder}/other.csv") is None


@pytest.mark.parametrize("bucket", ["s3"], indirect=True, scope="module")
def test_a_partial_upload_is_never_visible(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    real = s3fs.S3FileSystem._call_s3

    async def breaks(self: Any, method: str, *arguments: Any, **named: Any) -> Any:
        if method == "upload_part" and named.get("PartNumber", 0) > 1:
            raise OSError("the connection broke off")
        return await real(self, method, *arguments, **named)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", breaks)
    url = f"{folder}/out.csv"
    send_bytes(b"before\n", url, tmp_path)
    large = tmp_path / "large"
    with large.open("wb") as stream:
        stream.truncate(120 << 20)  # more than is uploaded in one part
    with pytest.raises(UnavailableError, match=r"out\.csv cannot be written now"):
        send(large, url)
    assert content(url) == b"before\n"


def test_a_url_holds_no_credential(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no key and no password") as caught:
        open_source(f"s3://key:{SECRET}@lists/crm.csv", settings_of(tmp_path))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["s3://lists", "s3://lists/", "s3://lists/folder/"])
def test_a_url_of_no_file_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="names no file"):
        open_source(url, settings_of(tmp_path))


def test_a_library_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adlfs", None)
    with PrivateFolder() as folder, pytest.raises(SettingsError, match=r"adlfs is not installed: pip install .*azure"):
        fetch("abfs://box@account.dfs.core.windows.net/crm.csv", folder)


def test_a_store_out_of_reach_may_be_back_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    filesystem("s3", clear=True)
    with PrivateFolder() as folder, pytest.raises(UnavailableError, match="cannot be read now") as caught:
        fetch("s3://lists/crm.csv", folder)
    assert SECRET not in str(caught.value)
    filesystem("s3", clear=True)


def test_which_texts_are_urls_of_files() -> None:
    urls = ["s3://a/b.csv", "gs://a/b.csv", "abfs://a/b.csv", "S3://a/b", "crm.csv", "postgresql://a/b", "s3:/a", None]
    assert [is_remote(url) for url in urls] == [True, True, True, True, False, False, False, False]
