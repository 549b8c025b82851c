"""Files in any store that fsspec knows, with the catalog on this machine: memory, and S3's protocol over loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lake.bars import walk
from lake.lakes import BTC, FEBRUARY, INSTRUMENT, held

from twinstar_kit.lake import CorruptFile, Lake, LakeError


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, Any]]:
    """An S3-compatible server of this process, with one bucket."""
    from moto.server import ThreadedMotoServer

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        server.start()
        host, port = server.get_host_and_port()
        options = {
            "endpoint_url": f"http://{host}:{port}",
            "key": "testing",
            "secret": "testing",
            "skip_instance_cache": True,
        }
        import s3fs

        s3fs.S3FileSystem(**options).mkdir("market")
        yield options
        server.stop()


@pytest.fixture(params=["memory", "s3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    name = tmp_path.name.replace("_", "-")
    if request.param == "memory":
        yield f"memory://{name}/lake", {}
        import fsspec

        fsspec.filesystem("memory").rm(f"/{name}", recursive=True)
    else:
        yield f"s3://market/{name}/lake", request.getfixturevalue("s3")


def test_a_lake_in_a_remote_store_does_what_a_local_one_does(
    remote: tuple[str, dict[str, Any]], tmp_path: Path
):
    url, options = remote
    rows = walk(3_000, start=FEBRUARY - 1_500 * 60_000)
    with Lake(url, catalog=tmp_path / "catalog.sqlite", **options) as lake:
        lake.register(BTC, INSTRUMENT)
        lake.write(BTC, rows[:2_000])
        lake.append(BTC, rows[2_000:])
        kept = lake.snapshot("kept")
        changed = np.add(rows[10:11], [[0, 0, 0, 0, 1, 0]])
        assert lake.write(BTC, changed).revised == 1
        assert len(lake.collect_garbage()) == 1  # February, as it was before the tail came into it
        assert np.array_equal(held(lake, as_of=kept.id), rows)
        assert held(lake)[10, 4] == rows[10, 4] + 1
        assert lake.sql("SELECT count(*), max(high) FROM btc", btc=BTC).fetchall()[0] == (
            3_000,
            rows[:, 2].max() / 100,
        )

    with Lake(url, catalog=tmp_path / "catalog.sqlite", **options) as lake:
        assert len(held(lake)) == 3_000
        store = lake._place.files
        january, february = (c for c in lake.scan(BTC))
        assert np.array_equal(february.rows, rows[1_500:])
        path = next(p for p in store.paths() if "2025-02" in p)
        data = bytearray(store.get(path))
        data[200] ^= 4
        store.put(path, bytes(data))
        with pytest.raises(CorruptFile, match="2025-02"):
            held(lake)
        assert lake.quarantine(february.file_id or "", "test")[0].count == 1_500
        assert len(held(lake)) == len(january)
        assert store.exists(f"quarantine/{path}")


def test_two_lakes_do_not_share_one_place(remote: tuple[str, dict[str, Any]], tmp_path: Path):
    url, options = remote
    for name in ("one", "two"):
        with Lake(url, catalog=tmp_path / name, **options) as lake:
            lake.register(BTC, INSTRUMENT)
            if name == "one":
                lake.write(BTC, walk(10))
            else:
                with pytest.raises(LakeError, match="belong to another catalog"):
                    lake.write(BTC, walk(10))


def test_the_catalog_of_a_remote_lake_lies_under_the_home_unless_told_otherwise(home: Path):
    with Lake("memory://somewhere/lake") as lake:
        lake.register(BTC, INSTRUMENT)
    assert len(list((home / "catalogs").glob("*.sqlite"))) == 1


def test_a_store_that_nobody_knows_is_one_clear_error(tmp_path: Path):
    with pytest.raises(LakeError, match="nosuch://x cannot be opened: Protocol not known: nosuch"):
        Lake("nosuch://x", catalog=tmp_path / "c.sqlite")


def test_a_store_that_does_not_answer_is_one_clear_error(tmp_path: Path, s3: dict[str, Any]):
    with Lake("s3://no-such-bucket/lake", catalog=tmp_path / "c.sqlite", **s3) as lake:
        lake.register(BTC, INSTRUMENT)
        with pytest.raises(LakeError, match=r"cannot write .*no-such-bucket"):
            lake.write(BTC, walk(10))
        assert len(held(lake)) == 0


def test_a_server_that_is_gone_is_one_clear_error(tmp_path: Path, s3: dict[str, Any]):
    quick = {"config_kwargs": {"connect_timeout": 1, "retries": {"max_attempts": 0}}}
    gone = s3 | {"endpoint_url": "http://127.0.0.1:9"} | quick
    with Lake("s3://market/gone", catalog=tmp_path / "c.sqlite", **gone) as lake:
        lake.register(BTC, INSTRUMENT)
        assert lake.append(BTC, walk(10)).added == 10  # the tail is local
        with pytest.raises(LakeError, match=r"cannot (read|write) .*lake.id: .*; nothing was changed"):
            lake.compact()
        assert len(held(lake)) == 10
