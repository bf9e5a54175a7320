"""What happens to the process of a server: killed, stopped, starved, started beside another."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from _http import Connection, ask, request
from _served_model import dataset, inputs
from _servers import START, fockjax_server, running
from _v2 import infer, outputs
from models import make_folder
from served import wait_until

from fockjax import TotalPhotons
from fockjax.inference import load_model

pytestmark = [pytest.mark.slow, pytest.mark.loose_promotion]  # Flax and Optax promote

READY = "/v2/health/ready"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "model"
    return make_folder(folder, dataset(), photonic=True, modes=1)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """What is compiled, kept from one start to the next."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def start(folder, compiled, tmp_path):
    """Starts servers that end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*options, model=folder, ready=True, prefix=(), log=tmp_path / "log", port=None):
            options = ("--compiled", str(compiled), *options)
            server = fockjax_server(model, log, *options, port=port, prefix=prefix)
            stack.enter_context(running(server))
            if ready:
                server.wait_for()
            return server

        yield start


def one(seed=0, rows=1):
    return infer("model", inputs(rows, seed), binary=True)


@contextlib.contextmanager
def under_way(server, count, rows):
    """So many requests, sent and not answered yet."""
    with contextlib.ExitStack() as stack:
        found = [Connection(server.port) for _ in range(count)]
        for seed, connection in enumerate(found):
            stack.callback(connection.close)
            connection.send(one(seed, rows))
        yield found


def test_after_a_kill_it_is_back_on_its_port_and_nothing_is_left(start, folder, compiled):
    server = start()
    before = outputs(ask(server.port, one(rows=7)))
    files = set(folder.rglob("*"))
    with under_way(server, 8, rows=500) as connections:
        server.stop(signal.SIGKILL)
        for connection in connections:  # whose clients hear of it at once
            with contextlib.suppress(ConnectionError):
                assert connection.answer().status == 200
    assert set(folder.rglob("*")) == files

    programs = set(compiled.rglob("*-cache"))
    again = start(port=server.port)  # how soon, `python benchmarks/soak.py` tells
    assert set(compiled.rglob("*-cache")) == programs  # it compiled nothing
    for name, found in outputs(ask(again.port, one(rows=7))).items():
        np.testing.assert_array_equal(found, before[name])


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads")
def test_threads_that_compute_go_after_the_event_loop(start):
    main = start().process.pid
    threads = map(int, os.listdir(f"/proc/{main}/task"))
    priorities = {thread: os.getpriority(os.PRIO_PROCESS, thread) for thread in threads}
    own = priorities.pop(main)
    assert sum(priority > own for priority in priorities.values()) >= 2  # the device's, and XLA's


def test_stopped_it_answers_all_that_it_has_taken_and_ends_well(start):
    server = start()
    with under_way(server, 8, rows=500) as connections:
        time.sleep(0.05)  # so that they are read
        server.process.send_signal(signal.SIGTERM)
        answers = [outputs(connection.answer()) for connection in connections]
    assert all(len(answer["prediction"]) == 500 for answer in answers)
    assert server.process.wait(20) == 0


def test_stopped_under_load_it_loses_nothing_if_clients_heed_that_it_is_not_ready(start):
    server = start("--drain", "2")
    enough, answers = threading.Event(), []

    def client(seed):
        while not enough.is_set():
            answers.append(ask(server.port, one(seed, 1 + seed)).status)

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    server.process.send_signal(signal.SIGTERM)
    while server.get(READY).status == 200:
        pass
    at_signal = len(answers)
    time.sleep(0.3)  # balancers are not that fast
    enough.set()
    for thread in threads:
        thread.join()
    assert set(answers) == {200} and len(answers) > at_signal > 8
    assert server.process.wait(20) == 0


def test_a_port_in_use_is_told_in_a_line(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        second = start(ready=False, port=port)
        assert second.process.wait(START) == 2
    text = second.log.read_text()
    assert f"port {port}: Address already in use" in text and "Traceback" not in text


def test_without_file_descriptors_it_recovers_when_there_are_some_again(start):
    server = start(prefix=("prlimit", "--nofile=64", "--"))
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            connection = Connection(server.port)  # the kernel takes them
            stack.callback(connection.close)
        time.sleep(0.5)
        assert server.process.poll() is None
    server.wait_for(seconds=20)
    assert ask(server.port, one()).status == 200


def test_a_full_disk_costs_a_compilation_and_no_answer(start, tmp_path):
    """No file of what is compiled gets beyond its first 4096 bytes."""
    options = ("--compiled", str(tmp_path / "full"))
    server = start(*options, prefix=("prlimit", "--fsize=4096", "--"), log=Path("/dev/null"))
    assert ask(server.port, one()).status == 200


def test_a_full_disk_under_its_log_stops_nothing(start):
    server = start(log=Path("/dev/full"))
    assert ask(server.port, one()).status == 200
    server.process.send_signal(signal.SIGHUP)  # which is logged
    for seed in range(20):
        assert ask(server.port, one(seed)).status == 200
    assert server.stop() == 0


def test_damaged_programs_on_disk_are_compiled_again(start, compiled):
    start().stop()
    programs = [path for path in compiled.rglob("*") if path.is_file()]
    assert programs
    contents = [path.read_bytes() for path in programs]
    for path, content in zip(programs, contents, strict=True):
        path.write_bytes(content[: len(content) // 2])
    assert ask(start().port, one()).status == 200
    for path, content in zip(programs, contents, strict=True):
        path.write_bytes(content)


def test_a_model_that_is_broken_while_it_runs_is_not_taken(start, folder):
    server = start()
    before = outputs(ask(server.port, one(rows=3)))
    (checkpoint,) = (folder / "checkpoints").glob("*.ckpt")
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[:100])
    try:
        server.process.send_signal(signal.SIGHUP)
        answer = server.post("/v2/repository/models/model/load", b"{}")
        assert answer.status == 400 and "goes on" in json.loads(answer.body)["error"]
        for name, found in outputs(ask(server.port, one(rows=3))).items():
            np.testing.assert_array_equal(found, before[name])
        server.stop(signal.SIGKILL)
        second = start(ready=False)
        assert second.process.wait(START) == 2 and "Traceback" not in second.log.read_text()
    finally:
        checkpoint.write_bytes(content)


def test_another_model_takes_over_between_two_requests(start, folder, tmp_path):
    """The other one bounds the photons of both its modes in total."""
    place = shutil.copytree(folder, tmp_path / "model")
    server = start(model=place)
    before = outputs(ask(server.port, one(rows=3)))["prediction"]
    shutil.rmtree(place)
    make_folder(place, dataset(), seed=1, photonic=True, cutoff=3, total_photons=True)
    server.process.send_signal(signal.SIGHUP)
    found = []

    def differs():
        found.append(outputs(ask(server.port, one(rows=3)))["prediction"])
        return not np.array_equal(found[-1], before)

    wait_until(differs, seconds=60)
    predictor = load_model(place)
    assert predictor.config.truncation == TotalPhotons(3)
    np.testing.assert_allclose(found[-1], predictor(inputs(3)).prediction, atol=1e-5)
    assert server.stop() == 0


def test_over_tls_it_answers_who_trusts_it_and_nobody_without(start, tmp_path):
    files = [tmp_path / name for name in ("certificate.pem", "key.pem")]
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj"
    made = [*command.split(), "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-out"]
    made += [files[0], "-keyout", files[1]]
    subprocess.run(made, check=True, stderr=subprocess.PIPE)
    options = ("--ssl-certfile", str(files[0]), "--ssl-keyfile", str(files[1]))
    server = start(*options, ready=False)

    def get(**trust):
        context = ssl.create_default_context(**trust)
        address = ("127.0.0.1", server.port)
        with contextlib.closing(http.client.HTTPSConnection(*address, context=context)) as client:
            client.request("GET", READY)
            return client.getresponse().status

    def is_ready():
        with contextlib.suppress(ConnectionError, ssl.SSLCertVerificationError):
            return get(cafile=files[0]) == 200

    wait_until(is_ready, seconds=60)
    with pytest.raises(ssl.SSLCertVerificationError):
        get()
    with pytest.raises(ConnectionError):
        server.get(READY)
    # A new certificate, before the old one is out of date; at first with the old key.
    old, key = (shutil.copy(file, tmp_path / f"old-{file.name}") for file in files)
    subprocess.run(made, check=True, stderr=subprocess.PIPE)
    new = shutil.copy(files[1], tmp_path / "new.pem")
    shutil.copy(key, files[1])
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "cannot be used" in server.log.read_text())
    assert get(cafile=old) == 200
    shutil.copy(new, files[1])
    with pytest.raises(ssl.SSLCertVerificationError):
        get(cafile=files[0])
    server.process.send_signal(signal.SIGHUP)
    wait_until(is_ready, seconds=60)
    assert server.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_ends_by_sigterm_before_it_is_ready(folder, tmp_path):
    """As process 1 of a container the system would keep it from ending, without a handler."""
    server = fockjax_server(folder, tmp_path / "log", program=["-m", "fockjax"])

    def handles():
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
        return int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1

    with running(server):
        wait_until(handles)
        assert server.stop(seconds=20) in (0, 130)


def test_more_connections_than_it_takes_are_told_so_at_once(start):
    server = start("--max-connections", "4")
    with contextlib.ExitStack() as stack:
        connections = [Connection(server.port) for _ in range(4)]
        for connection in connections:
            stack.callback(connection.close)
        refused = ask(server.port, one())
        assert refused.status == 503 and refused.header("Retry-After") == "1"
        assert json.loads(refused.body) == {"error": "too many connections"}
        assert server.get("/v2/health/live").status == 200  # no reason to restart it
        connections[0].send(one())
        assert connections[0].answer().status == 200
        connections[1].send(request("GET", "/metrics"))
        counted = b'fockjax_requests_total{route="none",status="503"} 1.0\n'
        assert counted in connections[1].answer().body
    server.wait_for(seconds=20)
    assert ask(server.port, one()).status == 200


def test_its_supervisor_is_told_that_it_is_ready_lives_and_ends(start, tmp_path):
    """As deploy/fockjax.service wants it; a process that is stopped tells nothing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(60)
        server = start(ready=False, prefix=("env", f"NOTIFY_SOCKET={tmp_path / 'notify'}"))
        told = set()
        while not told >= {b"READY=1", b"WATCHDOG=1"}:
            told.add(supervisor.recv(100))
        supervisor.settimeout(5)
        server.process.send_signal(signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            while True:
                supervisor.recv(100)
        server.process.send_signal(signal.SIGCONT)
        assert supervisor.recv(100) == b"WATCHDOG=1"
        assert server.stop() == 0
        supervisor.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                told.add(supervisor.recv(100))
        assert b"STOPPING=1" in told


def test_a_short_soak_loses_nothing():
    """The long one is `python benchmarks/soak.py`."""
    soak = Path(__file__).parents[2] / "benchmarks" / "soak.py"
    done = subprocess.run(
        [sys.executable, soak, "--requests", "2000"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
