"""The session process: `python -m twinstar_kit.session OPTIONS_JSON READY_FD`, as `start_session` calls it."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from twinstar_kit.kernel.errors import TwinStarError


def main(arguments: list[str]) -> int:
    """Run a session until it is told to stop. Says on READY_FD, in one line of JSON, that it serves, or why it cannot."""
    from twinstar_kit.session.host import Host, Options

    options, ready = json.loads(arguments[0]), int(arguments[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        host = Host(Options(**options))
    except TwinStarError as error:
        _say(ready, {"error": str(error)})
        return 2
    try:
        host.serve(lambda info: _say(ready, info))
    finally:
        host.close()
    return 0


def _say(fd: int, what: dict[str, Any]) -> None:
    os.write(fd, json.dumps(what).encode() + b"\n")
    os.close(fd)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
