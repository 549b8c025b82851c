"""Where a user's things live and what is set once: environment and twinstar.toml, read into one frozen object."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from twinstar_kit.kernel.errors import UsageError

PREFIX = "TWINSTAR_"
FILE = "twinstar.toml"


class SettingsError(UsageError):
    """A setting that is unknown or out of range; the message names it and where it was read."""


class Settings(BaseSettings):
    """Every setting, with its default.

    Read in this order, the first that sets a key wins: arguments, the environment (`TWINSTAR_HOME`, ...),
    `twinstar.toml` in the working folder, `twinstar.toml` in the home.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    home: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("twinstar", appauthor=False)),
        description="folder of everything that belongs to the user: accounts, sessions, runs",
    )
    lake: str | None = Field(
        None, description="folder or fsspec URL of market data; the home's `lake` when not set"
    )
    cache: Path | None = Field(
        None, description="folder of compiled code; the platform's cache folder when not set"
    )
    feed: str = Field(
        "simulated", description="feed of a new session: simulated, simulated:SEED, replay:PATH"
    )
    speed: str = Field(
        "real", description="pace of a feed that can be driven: real, max, or a factor such as 60"
    )
    port: int = Field(5006, ge=0, le=65535, description="port of the terminal; 0 takes a free one")
    session: str = Field("default", description="session that commands and notebooks attach to")
    universe: Path | None = Field(
        None, description="file of symbols to follow, one a line; the most traded ones when not set"
    )
    universe_top: int = Field(
        98, ge=1, description="how many symbols to follow, by their turnover of 24 hours"
    )
    universe_quote: str | None = Field(
        None, description="follow only symbols with this quote, such as USDT; any when not set"
    )
    balances: dict[str, float] = Field(
        default_factory=lambda: {"USDT": 10_000.0, "KRW": 10_000_000.0},
        description="play money of a new account, by asset",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("warning", description="what is logged")

    @field_validator("home", "cache", "universe", mode="after")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else Path(os.path.abspath(value.expanduser()))

    @field_validator("lake", mode="before")
    @classmethod
    def _place(cls, value: Any) -> str | None:
        if value is None or "://" in str(value):
            return None if value is None else str(value)
        return os.path.abspath(Path(str(value)).expanduser())

    @field_validator("speed")
    @classmethod
    def _speed(cls, value: str) -> str:
        parse_speed(value)
        return value

    @field_validator("session")
    @classmethod
    def _session(cls, value: str) -> str:
        return safe_name(value, "session")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the files."""
        files = [TomlConfigSettingsSource(settings_cls, path) for path in config_files()]
        return (init_settings, env_settings, *files)

    @property
    def accounts(self) -> Path:
        """The folder that holds one folder for each account."""
        return self.home / "accounts"

    @property
    def sessions(self) -> Path:
        """The folder of the descriptions of running sessions."""
        return self.home / "sessions"

    @property
    def lake_folder(self) -> Path | str:
        """The folder of market data, or the URL that it lies at."""
        if self.lake is None:
            return self.home / "lake"
        return self.lake if "://" in self.lake else Path(self.lake)


def config_files() -> list[Path]:
    """The `twinstar.toml` files that count, the nearest first."""
    home = os.environ.get(PREFIX + "HOME") or platformdirs.user_data_dir("twinstar", appauthor=False)
    return [
        path for path in dict.fromkeys((Path.cwd() / FILE, Path(home).expanduser() / FILE)) if path.is_file()
    ]


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; arguments that are None are left to the environment and the files.

    Raises SettingsError that names the key, the rule and the place.

    >>> load_settings(port=8080).port
    8080
    """
    try:
        return Settings(**{key: value for key, value in overrides.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(Settings.model_fields)
            raise SettingsError(f"{FILE}: there is no setting {key!r}; the settings are {known}") from None
        rule = first["msg"].removeprefix("Value error, ")
        raise SettingsError(
            f"setting {key} = {first['input']!r}: {rule} (see {PREFIX}{key.upper()} and {FILE})"
        ) from None
    except ValueError as error:
        raise SettingsError(f"{FILE} cannot be read: {error}") from None


def parse_speed(speed: str | float) -> float:
    """A pace as a factor of real time; `max` is infinite.

    >>> parse_speed("real"), parse_speed("60"), parse_speed("max")
    (1.0, 60.0, inf)
    """
    words = {"real": 1.0, "max": float("inf")}
    try:
        factor = words[speed] if speed in words else float(speed)
    except ValueError:
        factor = float("nan")
    if not factor > 0:
        raise SettingsError(f"speed = {speed!r} must be real, max, or a factor above zero such as 60")
    return factor


def safe_name(name: str, what: str) -> str:
    """`name`, if it can name a folder on any platform; SettingsError otherwise.

    >>> safe_name("breakout-2", "account")
    'breakout-2'
    """
    tame = name and len(name) <= 64 and all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    if not tame or name[0] in ".-":
        raise SettingsError(
            f"{what} {name!r}: use up to 64 letters, digits, dots, dashes or underscores, a letter or digit first"
        )
    return name
