"""`lapse serve` under load: a full queue, processes that die, slow clients, a soak, SIGTERM.

All requests go to the loopback address. The tests print counts; times are compared within a run.
"""

import hashlib
import os
import signal
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median, quantiles

import pytest

import phantom_films
import small_files as small
from running_service import RunningService

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
AT_ONCE, WAITING, SLOW = 200, 8, 400
KILLS = 3
LIMITED = {
    "Max address space": "700000000",
    "Max file size": "0",
    "Max core file size": "0",
    "Max cpu time": "",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with RunningService(tmp_path_factory.mktemp("service")) as running:
        yield running


def variant(picture: bytes, number: int) -> bytes:
    """The same PNG with a text chunk, so that its hash is another one."""
    end = picture.rindex(b"\0\0\0\0IEND")
    return picture[:end] + small.chunk(b"tEXt", b"n\0%d" % number) + picture[end:]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_two_hundred_at_once_are_answered_or_get_a_time_to_try_again(service):
    """Pairs with three different answers; each reply names the films of its pair."""
    first, second, third = phantom_films.pictures()
    kinds = [(first, second), (second, third), *[(first, first)] * 6]
    pairs = []
    for number, kind in enumerate(kinds):
        films = [variant(film, 2 * number + row) for row, film in enumerate(kind)]
        pairs.append(([service.send(film) for film in films], [sha256(film) for film in films]))
    expected = [service.compare(*names).json["answer"] for names, _ in pairs[:3]]
    assert len(set(expected)) == 3

    def compare(number):
        start = time.monotonic()
        names, hashes = pairs[number % len(pairs)]
        reply = service.compare(*names)
        return number, reply, time.monotonic() - start, hashes

    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(compare, range(AT_ONCE)))
    statuses = Counter(reply.status for _, reply, _, _ in done)
    assert set(statuses) == {200, 503} and sum(statuses.values()) == AT_ONCE
    crossed = 0
    for number, reply, _, hashes in done:
        if reply.status == 503:
            assert reply.code == "busy" and int(reply.headers["retry-after"]) >= 1
            continue
        pair = reply.json["pair"]
        is_right = [pair["reference"]["sha256"], pair["main"]["sha256"]] == hashes
        crossed += not (is_right and reply.json["answer"] == expected[min(2, number % len(pairs))])
    assert crossed == 0 and statuses[200] >= 1 + WAITING
    refusals = sorted(seconds for _, reply, seconds, _ in done if reply.status == 503)
    print(
        f"{AT_ONCE} at once: {statuses[200]} answers, {statuses[503]} with Retry-After, 0 lost, "
        f"{crossed} crossed; refusals p50 {1000 * median(refusals):.0f} ms, "
        f"p99 {1000 * quantiles(refusals, n=100)[98]:.0f} ms"
    )
    for names, _ in pairs:
        for name in names:
            service.request("DELETE", f"/api/films/{name}")


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


def test_a_decoder_that_is_killed_costs_one_request(service):
    film = small.png()
    for _ in range(KILLS):
        service.send(film)  # decoders run
        stopped, *_ = wait_until(lambda: service.children()["decoder"])
        with ThreadPoolExecutor(4) as pool:
            for pid in service.children()["decoder"]:
                os.kill(pid, signal.SIGSTOP)
            first = [pool.submit(service.request, "POST", "/api/films", film) for _ in range(4)]
            time.sleep(0.3)
            os.kill(stopped, signal.SIGKILL)
            for pid in service.children()["decoder"]:
                os.kill(pid, signal.SIGCONT)
            replies = [future.result() for future in first]
        assert Counter(reply.status for reply in replies) == {201: 3, 422: 1}
        assert [reply.code for reply in replies if reply.status == 422] == ["decoder-failed"]
        for reply in replies:
            if reply.status == 201:
                service.request("DELETE", f"/api/films/{reply.json['id']}")
    print(f"killed decoders {KILLS}/{KILLS}, each cost one request")


def test_a_model_process_that_is_killed_costs_one_request(service):
    names = [service.send(phantom_films.pictures()[0])] * 2
    (pid,) = service.children()["model_process"]
    with ThreadPoolExecutor(3) as pool:
        os.kill(pid, signal.SIGSTOP)
        futures = [pool.submit(service.compare, *names) for _ in range(3)]
        time.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        replies = [future.result() for future in futures]
    assert Counter(reply.status for reply in replies) == {200: 2, 500: 1}
    assert [reply.code for reply in replies if reply.status == 500] == ["model-failed"]


def test_decoders_have_limits_of_memory_time_and_files(service):
    for _ in range(2):
        service.send(small.png())
    limited = 0
    for pid in service.children()["decoder"]:
        limits = Path(f"/proc/{pid}/limits").read_text()
        values = {name: limits.partition(name)[2].split()[0] for name in LIMITED}
        if values["Max address space"] != "unlimited":
            assert values == LIMITED | {"Max cpu time": values["Max cpu time"]}
            assert int(values["Max cpu time"]) <= 60
            limited += 1
    assert limited >= 1  # the others have not decoded a film yet


def test_a_bomb_costs_its_own_request_and_no_memory_of_the_server(service):
    before = peak_memory(service.process.pid)
    bomb = small.png_chunks(small.ihdr(9_999, 9_999), (b"IDAT", b"\x78\x9c" + bytes(90_000)))
    large = bytes(63 << 20)
    for film in (bomb, b"\x89PNG\r\n\x1a\n" + large):
        reply = service.request("POST", "/api/films", film)
        assert reply.status == 422, reply.body
    growth = peak_memory(service.process.pid) - before
    print(f"films of 63 MB: the server grew by {growth:.1f} MB")
    assert growth < 16


def peak_memory(pid: int) -> float:
    """Megabytes of a process at its largest since the last call."""
    status = Path(f"/proc/{pid}/status").read_text()
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def memory(pid: int) -> float:
    """Megabytes of a process that no other process has."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


def num_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_slow_clients_do_not_slow_down_a_good_one(service):
    """The comparison with a quiet service is `python experiments/serve_slow_clients.py`."""

    def seconds_of_a_good_client():
        start = time.monotonic()
        name = service.send(small.png())
        service.request("GET", f"/api/films/{name}/picture")
        service.request("DELETE", f"/api/films/{name}")
        return time.monotonic() - start

    seconds_of_a_good_client()
    alone = [seconds_of_a_good_client() for _ in range(20)]
    head = f"POST /api/films HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n".encode()
    body = b"Content-Type: image/png\r\nContent-Length: 1000000\r\n\r\n\x89PNG"
    clients = []
    try:
        for number in range(SLOW):
            client = socket.create_connection(("127.0.0.1", service.port))
            client.sendall(head + body if number % 2 else head)
            clients.append(client)
        connecting, together = seconds_of_a_good_client(), []
        for turn in range(20):
            for client in clients[turn % 4 :: 4]:
                client.sendall(b"a")
            together.append(seconds_of_a_good_client())
    finally:
        for client in clients:
            client.close()
    ratio = median(together) / median(alone)
    print(
        f"{SLOW} slow clients: a good client takes {ratio:.2f} times as long (median), "
        f"slowest {max(together) / max(alone):.2f} times; while they connect "
        f"{connecting / median(alone):.2f} times the median"
    )
    assert ratio < 4  # a client that waits for the slow ones takes seconds


def test_memory_and_files_stay_flat(service):
    """The long run is `python experiments/serve_soak.py`."""
    pictures = phantom_films.pictures()

    def pair(number):
        names = [service.send(variant(pictures[0], 2 * number + row)) for row in range(2)]
        assert service.compare(*names).status == 200
        for name in names:
            service.request("DELETE", f"/api/films/{name}")

    for number in range(5):
        pair(number)
    pid = service.process.pid
    before, files = memory(pid), num_files(pid)
    for number in range(15):
        pair(number)
    growth = memory(pid) - before
    print(f"15 pairs: {growth:+.1f} MB, {num_files(pid) - files:+d} file descriptors")
    assert growth < 8 and num_files(pid) <= files + 2


def test_sigterm_answers_what_is_running(service):
    """The last test of this file: it stops the service."""
    pictures = phantom_films.pictures()
    names = [service.send(picture) for picture in pictures]
    pairs = [names[:2], names[1:], *[[names[0], names[0]]] * (WAITING - 1)]
    children = [pid for ids in service.children().values() for pid in ids]
    with ThreadPoolExecutor(len(pairs)) as pool:
        futures = [pool.submit(service.compare, *pair) for pair in pairs]
        time.sleep(0.4)
        slow = socket.create_connection(("127.0.0.1", service.port))
        slow.sendall(
            f"POST /api/films HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n"
            "Content-Type: image/png\r\nContent-Length: 999\r\n\r\n".encode()
        )
        service.process.send_signal(signal.SIGTERM)
        replies = [future.result() for future in futures]
        code = service.process.wait(30)
    slow.close()
    answered = sum(reply.status == 200 for reply in replies)
    print(f"SIGTERM with {len(pairs)} running: {answered} answered, exit code {code}")
    assert (answered, code) == (len(pairs), 0)
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
