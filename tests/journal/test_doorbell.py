"""The bell wakes who waits, tells everybody, and survives clients that misbehave."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest

from twinstar_kit.journal import Doorbell, JournalError
from twinstar_kit.journal.doorbell import BACKLOG_LIMIT, HELLO, HOST, LINE_LIMIT, Ringer


def test_rings_are_heard_by_account():
    with Doorbell() as bell, Ringer(bell.port) as one, Ringer(bell.port) as other:
        one.ring("manual")
        assert bell.wait(5) == {"manual"}
        other.ring("breakout")
        other.ring("manual")
        heard: set[str] = set()
        while heard != {"breakout", "manual"}:
            heard |= bell.wait(5)


def test_waiting_ends_without_a_ring():
    with Doorbell() as bell:
        assert bell.wait(0.0) == set()


def test_another_thread_can_end_the_waiting():
    with Doorbell() as bell:
        woken = threading.Thread(target=lambda: heard.append(bell.wait(30)))
        heard: list[set[str]] = []
        woken.start()
        bell.wake()
        woken.join(10)
        assert heard == [set()]
        assert bell.wakeup_fd > 0


def test_everybody_is_told():
    with Doorbell() as bell, Ringer(bell.port) as one, Ringer(bell.port) as other:
        for client in (one, other):  # the bell knows a client once it has heard it
            client.ring("x")
            assert bell.wait(5) == {"x"}
        bell.tell("batch manual 1")
        bell.tell("batch manual 2")
        for client in (one, other):
            lines: list[str] = []
            while len(lines) < 3:
                lines += client.listen(5)
            assert lines == [HELLO, "batch manual 1", "batch manual 2"]


def test_silence_is_a_timeout_and_a_hang_up_an_error():
    with Doorbell() as bell:
        client = Ringer(bell.port)
        bell.wait(0.05)
        assert client.listen(5) == [HELLO]
        with pytest.raises(TimeoutError):
            client.listen(0.0)
        client.ring("x")
        bell.wait(5)
        assert client.fileno() > 0
    with pytest.raises(ConnectionError):
        client.listen(5)
    client.close()


def test_a_client_that_sends_rubbish_is_cut_off_and_others_are_not():
    with Doorbell() as bell, Ringer(bell.port) as good:
        bad = socket.create_connection((HOST, bell.port))
        bad.sendall(b"x" * (LINE_LIMIT + 4096))
        good.ring("manual")
        heard: set[str] = set()
        while "manual" not in heard:
            heard |= bell.wait(5)
        while not closed(bad):
            bell.wait(0.05)
        bad.close()


def closed(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(64) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_a_client_that_never_reads_does_not_hold_up_the_bell():
    with Doorbell() as bell:
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((HOST, bell.port))
        deaf.sendall(b"x\n")
        assert bell.wait(5) == {"x"}
        line = "y" * 60_000
        for _ in range(BACKLOG_LIMIT // 60_000 * 20 + 200):
            bell.tell(line)
            if not bell._clients:
                break
        assert bell._clients == {}
        deaf.close()


def test_a_slow_client_gets_everything_in_the_end():
    with Doorbell() as bell, Ringer(bell.port) as slow:
        slow._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.ring("x")
        bell.wait(5)
        server_side = next(iter(bell._clients))
        server_side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sent = [f"batch manual {n} " + "." * 1000 for n in range(60)]
        for line in sent:
            bell.tell(line)
        got: list[str] = []
        while len(got) <= len(sent):
            bell.wait(0.0)
            with suppress(TimeoutError):
                got += slow.listen(0.05)
        assert got == [HELLO, *sent]


def test_a_client_that_left_is_forgotten():
    with Doorbell() as bell:
        client = Ringer(bell.port)
        client.ring("x")
        assert bell.wait(5) == {"x"}
        client.close()
        while bell._clients:
            bell.wait(0.05)
        bell.tell("nobody listens")


def test_a_port_in_use_is_said():
    with Doorbell() as bell, pytest.raises(JournalError, match=f"port {bell.port} is in use"):
        Doorbell(bell.port)


def test_who_comes_late_is_greeted_so_that_it_looks():
    with Doorbell() as bell:
        client = Ringer(bell.port)  # connected, and not let in yet
        bell.tell("batch manual 1")
        bell.wait(0.05)
        assert client.listen(5) == [HELLO]
        client.close()
