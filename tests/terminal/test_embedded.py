"""The terminal as an object: served beside a notebook, on a real session, with errors in one line."""

from __future__ import annotations

import re
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from twinstar_kit import Terminal
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.session import list_sessions, stop_session


def test_it_serves_a_session_shows_itself_and_leaves_the_session_running(home: Path):
    try:
        with Terminal("simulated:7", height_px=640) as terminal:
            (frame,) = re.findall(r'<iframe src="([^"]+)"', terminal._repr_html_())
            assert frame == terminal.url
            assert "height:640px" in terminal._repr_html_()
            with urllib.request.urlopen(frame) as page:
                assert page.status == 200
                assert b"TwinStar" in page.read()
            assert repr(terminal) == f"<Terminal of session default at {terminal.url}>"
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(frame)
        assert [row["name"] for row in list_sessions()] == ["default"]
        with pytest.raises(UsageError, match="session default runs on simulated:7, not simulated:8"):
            Terminal("simulated:8")
    finally:
        stop_session()


def test_a_port_in_use_is_refused_before_anything_starts(home: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} is in use"):
            Terminal("simulated:7", port=port)
    assert list_sessions() == [], "nothing was started for it"
