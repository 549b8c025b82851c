"""Settings: where they come from, which wins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinstar_kit.settings import SettingsError, load_settings, parse_speed, safe_name


def test_defaults(home: Path):
    settings = load_settings()
    assert settings.home == home
    assert settings.accounts == home / "accounts"
    assert settings.sessions == home / "sessions"
    assert settings.lake_folder == home / "lake"
    assert (settings.feed, settings.port, settings.session) == ("simulated", 5006, "default")
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


def test_arguments_before_environment_before_files(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (home / "twinstar.toml").write_text('port = 1\nfeed = "simulated:1"\nsession = "a"\nspeed = "60"\n')
    (here / "twinstar.toml").write_text('port = 2\nfeed = "simulated:2"\nsession = "b"\n')
    monkeypatch.setenv("TWINSTAR_PORT", "3")
    monkeypatch.setenv("TWINSTAR_FEED", "simulated:3")
    settings = load_settings(port=4, lake=None)
    assert (settings.port, settings.feed, settings.session, settings.speed) == (4, "simulated:3", "b", "60")


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    settings = load_settings(home="mine", lake="../lake")
    assert settings.home == tmp_path / "mine"
    assert settings.lake_folder == tmp_path.parent / "lake"
    assert load_settings(lake="s3://bucket/lake").lake_folder == "s3://bucket/lake"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"port": 70_000}, "setting port = 70000.*TWINSTAR_PORT"),
        ({"log_level": "loud"}, "setting log_level = 'loud'"),
        ({"speed": "warp"}, "speed = 'warp' must be real, max"),
        ({"speed": "-1"}, "speed = '-1' must be"),
        ({"session": "a/b"}, "session 'a/b': use up to 64 letters"),
        ({"nonsense": 1}, "there is no setting 'nonsense'; the settings are home, lake"),
    ],
)
def test_bad_settings(home: Path, settings: dict, told: str):
    with pytest.raises(SettingsError, match=told):
        load_settings(**settings)


def test_a_file_with_a_typo_or_no_toml_is_told(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(home)
    (home / "twinstar.toml").write_text("prot = 1")
    with pytest.raises(SettingsError, match="no setting 'prot'"):
        load_settings()
    (home / "twinstar.toml").write_text("port = = 1")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings()


def test_speeds_and_names():
    assert parse_speed("max") == float("inf")
    assert parse_speed(2) == 2.0
    assert safe_name("a.b-c_1", "account") == "a.b-c_1"
    for bad in ("nan", "0", ""):
        with pytest.raises(SettingsError):
            parse_speed(bad)
