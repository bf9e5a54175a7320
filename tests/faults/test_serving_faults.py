"""What clients, the network and the device do to a server, and what it must do then.

On real sockets, the server in a thread of this process; whole processes: `test_serving_process.py`.
"""

import contextlib
import json
import logging
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from _http import ask, request
from _served_model import dataset, inputs
from _v2 import infer, outputs
from faulty import FaultyDevice
from models import make_folder, without_circuits
from served import serving, wait_until

from fockjax._files import write_sealed
from fockjax.serving import http
from fockjax.serving.service import LARGEST, TOGETHER
from fockjax.training.probe import read_probe

pytestmark = pytest.mark.loose_promotion  # Flax and Optax promote


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with without_circuits():
        yield make_folder(tmp_path_factory.mktemp("models") / "model", dataset())


@pytest.fixture(scope="module")
def shared(folder):
    """A server for what leaves no trace; short deadline, small body."""
    with serving(folder, deadline=2.0, max_body="64kB") as served:
        yield served


@pytest.fixture
def served(shared):
    shared.ran.clear()
    yield shared
    shared.hang_up()
    assert shared.get("/v2/health/live").status == 200
    wait_until(lambda: shared.service.ready)  # soon after a device that failed
    assert outputs(ask(shared.port, one()))["prediction"].shape == (1,)  # the next request is fine


def one(seed=0, rows=1):
    return infer("model", inputs(rows, seed), binary=True)


def error(answer):
    return json.loads(answer.body)["error"]


def metric(served, line):
    """The number behind a line of /metrics."""
    text = served.get("/metrics").body.decode()
    return float(next(row for row in text.splitlines() if row.startswith(line)).split()[-1])


def tensor(**changes):
    whole = {"name": "features", "shape": [1, 4], "datatype": "FP64", "data": [1.0] * 4}
    return json.dumps({"inputs": [whole | changes]}).encode()


def rows(text):
    return b'{"rows": %s}' % text.encode()


BAD_BODIES = {
    "no JSON": ("/predict", b"rows"),
    "nothing": ("/predict", b""),
    "no object": ("/predict", b"[]"),
    "no rows": ("/predict", b'{"rows": []}'),
    "a row too short": ("/predict", rows("[[1, 2, 3]]")),
    "a column missing": ("/predict", rows('[{"a": 1, "b": 2, "c": 3}]')),
    "text for a number": ("/predict", rows('[[1, 2, 3, "much"]]')),
    "a list for a number": ("/predict", rows("[[1, 2, 3, [4]]]")),
    "a missing value": ("/predict", rows("[[1, 2, 3, null]]")),
    "NaN": ("/predict", rows("[[1, 2, 3, NaN]]")),
    "infinity": ("/predict", rows("[[1, 2, 3, 1e400]]")),
    "far too large": ("/predict", rows("[[1, 2, 3, 1e300]]")),
    "an integer of 400 digits": ("/predict", rows("[[1, 2, 3, 1%s]]" % ("0" * 400))),
    "depth": ("/predict", rows("[" * 20_000 + "]" * 20_000)),
    "objects in depth": ("/predict", b'{"rows":' * 5000 + b"1" + b"}" * 5000),
    "no UTF-8": ("/predict", b'{"rows": "\xff\xfe"}'),
    "a null byte": ("/predict", b'{"rows": [[1, 2, 3, 4]]}\x00'),
    "half a surrogate": ("/predict", rows('[[1, 2, 3, "\\ud800"]]')),
    "another name": ("infer", tensor(name="x")),
    "another type": ("infer", tensor(datatype="FP65")),
    "text for numbers": ("infer", tensor(datatype="BYTES")),
    "no shape": ("infer", tensor(shape=None)),
    "a negative shape": ("infer", tensor(shape=[-1, 4])),
    "a huge shape": ("infer", tensor(shape=[2**62, 2**62])),
    "no rows in the tensor": ("infer", tensor(shape=[0, 4], data=[])),
    "a shape of another size": ("infer", tensor(shape=[2, 4])),
    "another rank": ("infer", tensor(shape=[4])),
    "ragged data": ("infer", tensor(data=[[1, 2], [3]])),
    "data missing": ("infer", tensor(data=None)),
    "an input twice": ("infer", json.dumps({"inputs": [json.loads(tensor())["inputs"][0]] * 2})),
    "no inputs": ("infer", b'{"inputs": []}'),
    "an unknown output": ("infer", tensor()[:-1] + b', "outputs": [{"name": "x"}]}'),
    "bytes that are not there": ("infer", tensor(parameters={"binary_data_size": 32})),
    "an odd deadline": ("infer", tensor()[:-1] + b', "parameters": {"timeout": -1}}'),
}


@pytest.mark.parametrize("what", BAD_BODIES)
def test_a_bad_body_is_refused_and_told_why(served, what):
    path, body = BAD_BODIES[what]
    path = path.replace("infer", "/v2/models/model/infer")
    body = body.encode() if isinstance(body, str) else body
    answer = served.post(path, body)
    assert answer.status == 400 and error(answer), answer
    assert not served.ran


@pytest.mark.parametrize("length", ["0", "-1", "9999999", "x", "1e1", "²"])
def test_a_wrong_length_of_the_header_is_refused(served, length):
    whole = request("POST", "/v2/models/model/infer", tensor())
    head, _, body = whole.partition(b"\r\n\r\n")
    line = f"\r\nInference-Header-Content-Length: {length}".encode()
    answer = ask(served.port, head + line + b"\r\n\r\n" + body)
    assert answer.status == 400 and error(answer)


def test_a_row_that_is_no_number_is_refused_alone_and_its_neighbours_feel_nothing(served):
    bad = inputs(3, seed=3)
    bad[1, 2] = np.nan
    good = [one(seed, rows) for seed, rows in ((1, 63), (2, 64))]

    def together(requests):
        served.ran.clear()
        with served.held(one()):
            connections = [served.start(whole) for whole in requests]
            served.waiting(127)
        answers = [connection.answer() for connection in connections]
        assert [len(values) for values in served.ran] == [1, 127]
        return answers

    clean = together(good)
    first, refused, last = together([good[0], infer("model", bad, binary=True), good[1]])
    assert refused.status == 400 and "row 2" in error(refused) and "row 1" not in error(refused)
    for answer, before in zip((first, last), clean, strict=True):
        assert answer.body == before.body


def test_a_result_that_is_not_finite_is_told_alone_and_its_neighbours_feel_nothing(served):
    def together():
        with served.held(one()):
            connections = []
            for seed in range(3):
                connections.append(served.start(one(seed, rows=2)))
                served.waiting(2 * len(connections))
        return [connection.answer() for connection in connections]

    def spoilt(answer):
        found = answer["prediction"]
        return answer | {"prediction": np.where(np.arange(len(found)) == 3, np.nan, found)}

    clean = together()
    served.after = spoilt
    try:
        first, refused, last = together()
    finally:
        served.after = lambda answer: answer
    assert refused.status == 400 and error(refused) == "row 2: the result is not finite"
    assert (first.body, last.body) == (clean[0].body, clean[2].body)


def test_a_large_request_is_split_and_its_order_kept_and_nothing_is_compiled(served):
    compiled = metric(served, "fockjax_compiles_total")
    whole = outputs(ask(served.port, one(rows=1000)))
    for count in (1, 5, 77, 129):
        part = outputs(ask(served.port, one(rows=count)))  # which begins otherwise
        assert part["prediction"].shape == (count,)
    assert max(map(len, served.ran)) == TOGETHER * LARGEST
    single = [
        outputs(ask(served.port, infer("model", row[None], True))) for row in inputs(1000)[::97]
    ]
    np.testing.assert_allclose(
        whole["prediction"][::97], [each["prediction"][0] for each in single], atol=1e-6
    )
    assert metric(served, "fockjax_compiles_total") == compiled


def test_many_clients_at_once_get_their_own_answers(served):
    def answer(seed):
        return outputs(ask(served.port, one(seed, 1 + seed % 7)))["prediction"]

    alone = [answer(seed) for seed in range(40)]
    compiled = metric(served, "fockjax_compiles_total")
    with ThreadPoolExecutor(8) as pool:
        for together, before in zip(pool.map(answer, range(40)), alone, strict=True):
            np.testing.assert_allclose(together, before, atol=1e-6)
    assert metric(served, "fockjax_compiles_total") == compiled


# time


def test_what_is_too_late_is_told_so_and_never_computed(served):
    late = json.loads(tensor()) | {"parameters": {"timeout": 50_000}}
    path = "/v2/models/model/infer"
    expired = metric(served, 'fockjax_dropped_total{reason="expired"}')
    with served.held(one()) as first:
        answer = served.post(path, json.dumps(late).encode())
        assert answer.status == 504 and error(answer) == "not answered in time"
    assert first.answer().status == 200
    wait_until(lambda: served.service.batcher.rows == 0)
    assert len(served.ran) == 1
    dropped = metric(served, 'fockjax_dropped_total{reason="expired"}') - expired
    assert dropped + metric(served, 'fockjax_dropped_total{reason="vanished"}') >= 1


def test_a_client_that_leaves_is_dropped_before_it_costs_anything(served):
    vanished = metric(served, 'fockjax_dropped_total{reason="vanished"}')
    with served.held(one()) as first:
        # One has sent its next request already.
        gone = [served.start(one(seed, 5) * (2 if seed == 3 else 1)) for seed in range(4)]
        served.waiting(20)
        for connection in gone:
            connection.close()
        stays = served.start(one(9))
        served.waiting(21)
        line = 'fockjax_requests_total{route="/v2/models/{name}/infer",status="499"}'
        wait_until(lambda: line in served.get("/metrics").body.decode())
    assert first.answer().status == stays.answer().status == 200
    assert [len(values) for values in served.ran] == [1, 1]
    assert metric(served, 'fockjax_dropped_total{reason="vanished"}') == vanished + 4


@pytest.mark.slow
def test_a_body_that_does_not_come_is_not_waited_for(served):
    whole = one(rows=20)
    slow = served.start(whole[:-10])
    assert slow.answer().status == 408
    closes = served.start(whole[:-10])
    closes.socket.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError):
        closes.answer()
    assert not served.ran


# size


def test_a_huge_body_is_refused_before_it_is_there(served):
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
    assert served.start(head).answer().status == 413


def test_a_huge_body_without_a_length_is_cut_off(served):
    connection = served.start(
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"8000\r\n" + b"[" * 0x8000 + b"\r\n"
    answered = False
    try:
        for _ in range(100):
            connection.socket.sendall(chunk)
            answered = answered or connection.closed
            if answered:
                break
    except ConnectionError:
        pass
    assert answered and connection.answer().status == 413


def test_a_compressed_body_is_not_blown_up(served):
    answer = ask(
        served.port, request("POST", "/predict", b"\x1f\x8b", {"Content-Encoding": "gzip"})
    )
    assert answer.status == 415


# overload


def test_a_full_queue_refuses_fast_and_answers_what_it_took(folder):
    with serving(folder, queue_rows=10) as served:
        with served.held(one()) as first:
            taken = [served.start(one(seed)) for seed in range(10)]
            served.waiting(10)
            for _ in range(20):
                answer = ask(served.port, one())
                assert answer.status == 429 and int(answer.header("Retry-After")) >= 1
        assert all(connection.answer().status == 200 for connection in (first, *taken))
        assert sum(map(len, served.ran)) == 11
        assert ask(served.port, one(rows=11)).status == 413


# the device


@contextlib.contextmanager
def device(served, gateway):
    """The server reaches its device through this, whichever of its threads does."""
    runners = served.service.model.runners
    whole = [runner.gateway for runner in runners]
    for runner in runners:
        runner.gateway = gateway
    try:
        yield
    finally:
        for runner, own in zip(runners, whole, strict=True):
            runner.gateway = own


@pytest.mark.parametrize("status, at_most", [("UNAVAILABLE", 0.0), ("RESOURCE_EXHAUSTED", 1e-6)])
def test_a_fault_that_passes_changes_no_answer(served, status, at_most):
    before = outputs(ask(served.port, one(rows=70)))["prediction"]
    recovered = metric(served, "fockjax_recoveries_total")
    with device(served, FaultyDevice("execute", 1, status)):
        after = outputs(ask(served.port, one(rows=70)))["prediction"]
    np.testing.assert_allclose(after, before, rtol=0, atol=at_most)
    assert metric(served, "fockjax_recoveries_total") == recovered + 1


def test_a_fault_that_stays_is_told_as_such_until_it_passes(served, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with device(served, FaultyDevice("execute", 1, for_good=True)):
        answer = ask(served.port, one())
        assert answer.status == 503 and answer.header("Retry-After")


def test_a_device_that_hangs_is_not_live_until_it_goes_on(folder):
    with serving(folder, hang=0.1, deadline=20.0) as served:
        with served.held(one()) as first:
            wait_until(lambda: served.get("/v2/health/live").status == 503)
            assert served.get("/v2/health/ready").status == 503
        assert first.answer().status == 200
        wait_until(lambda: served.get("/v2/health/live").status == 200)
        wait_until(lambda: served.get("/v2/health/ready").status == 200)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_device_whose_thread_dies_leaves_nobody_waiting(folder):
    class Death(BaseException):
        pass

    def die(values):
        raise Death

    with serving(folder) as served:
        with served.held(one()) as first:
            waiting = [served.start(one(seed)) for seed in range(3)]
            served.waiting(3)
            served.before = die
        assert first.answer().status == 200
        assert {connection.answer().status for connection in waiting} == {503}
        wait_until(lambda: served.get("/v2/health/live").status == 503)
        assert served.get("/v2/health/ready").status == 503
        assert ask(served.port, one()).status == 503


# the model


def test_a_wrong_answer_to_the_probe_row_stops_all_answers_until_it_is_right(folder):
    with serving(folder, idle=0.05) as served:
        served.after = lambda answer: {name: part + 0.5 for name, part in answer.items()}
        wait_until(lambda: served.get("/v2/health/ready").status == 503)
        assert served.get("/v2/health/live").status == 200
        answer = ask(served.port, one())
        assert answer.status == 503 and "known answer" in error(answer)
        assert answer.header("Retry-After")
        served.after = lambda answer: answer
        wait_until(lambda: served.get("/v2/health/ready").status == 200)
        assert ask(served.port, one()).status == 200


def test_a_device_that_goes_wrong_under_load_is_noticed(folder):
    with serving(folder, idle=0.1) as served:
        served.after = lambda answer: {name: np.nan * part for name, part in answer.items()}
        wait_until(lambda: ask(served.port, one()).status == 503)  # 400 before: not finite
        assert served.get("/v2/health/ready").status == 503


@pytest.mark.slow
def test_a_model_that_is_broken_never_takes_over(folder, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(folder, model)
    load = "/v2/repository/models/model/load"
    with serving(model) as served:
        version = json.loads(served.get("/v2/models/model").body)["versions"]
        before = ask(served.port, one(rows=9)).body
        (checkpoint,) = (model / "checkpoints").glob("*.ckpt")
        content = checkpoint.read_bytes()
        flipped = bytearray(content)
        flipped[len(content) // 2] ^= 64
        for broken in (b"", content[: len(content) // 2], bytes(flipped)):
            checkpoint.write_bytes(broken)
            answer = served.post(load, b"{}")
            assert answer.status == 400 and "goes on" in error(answer)
            assert ask(served.port, one(rows=9)).body == before
        probe = (model / "probe.json").read_text()
        checkpoint.write_bytes(content)
        wrong = read_probe(model).to_json()
        write_sealed(model / "probe.json", wrong | {"answer": [x + 1 for x in wrong["answer"]]})
        answer = served.post(load, b"{}")
        assert answer.status == 400 and "probe" in error(answer)
        assert ask(served.port, one(rows=9)).body == before
        (model / "probe.json").write_text(probe)
        assert served.post(load, b"{}").status == 200
        assert json.loads(served.get("/v2/models/model").body)["versions"] == version
        assert ask(served.port, one(rows=9)).body == before


def refusals(served, status):
    """How many requests that reached no route were refused with this status."""
    line = f'fockjax_requests_total{{route="none",status="{status}"}}'
    return metric(served, line) if line in served.get("/metrics").body.decode() else 0


CHUNKED = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
ENDLESS = {
    "header": b"GET /v2 HTTP/1.1\r\nHost: x\r\nX: ",
    "address": b"GET /",
    "extension of a chunk": CHUNKED + b"2;x=",
    "trailers": CHUNKED + b"0\r\nX: ",
}


@pytest.mark.parametrize("what", ENDLESS)
def test_headers_without_end_are_refused(served, what):
    """Before they fill the memory: a client without a key can send them."""
    before = refusals(served, 431)
    with socket.create_connection(("127.0.0.1", served.port), 10) as client:
        client.sendall(ENDLESS[what])
        with contextlib.suppress(OSError):  # it is cut off while it sends
            for _ in range(40):
                client.sendall(bytes(b"a" * 2**16))
        answer = b""
        with contextlib.suppress(OSError):
            while part := client.recv(2**16):
                answer += part
    assert not answer or answer.startswith(b"HTTP/1.1 431 ")
    assert refusals(served, 431) == before + 1


def test_a_body_is_no_header_however_they_arrive(served):
    """Nor is a request whose header arrives in two parts, and the next one with it."""
    whole = request("POST", "/predict", rows("[[1, 2, 3, 4]]").ljust(60_000), {"X": 9_000 * "a"})
    chunked = CHUNKED.partition(b"2\r\n")[0].replace(b"Host", b"X: %s\r\nHost" % (9_000 * b"a"))
    for part in (rows("[[1, 2, 3, 4]]"), *20 * [3_000 * b" "], b""):
        chunked += b"%x;x=%s\r\n%s\r\n" % (len(part), 3_000 * b"y", part)
    for each in (whole, chunked):
        for cut in (1, 20, 5_000, 10_000, len(each) - 1):
            connection = served.start(each[:cut])
            served.get("/v2/health/live")  # so that it is read
            connection.send(each[cut:] + each[:cut])
            assert connection.answer().status == 200
            served.get("/v2/health/live")
            connection.send(each[cut:])
            assert connection.answer().status == 200


def test_trailers_are_no_headers(served):
    whole = CHUNKED.replace(b"2\r\n{}", b"18\r\n" + rows("[[1, 2, 3, 4]]"))
    assert ask(served.port, whole + b"0\r\nContent-Encoding: gzip\r\n\r\n").status == 200


def test_garbage_is_refused_in_json_and_counted_and_not_logged(served, caplog):
    with socket.create_connection(("127.0.0.1", served.port), 10) as client:
        client.sendall(b"\x16\x03\x01 garbage\r\n\r\n")
        answer = client.recv(2**16)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ") and json.loads(body)["error"] == "this is not HTTP"
    assert refusals(served, 400) >= 1
    wordy = logging.getLogger("uvicorn.error")
    for text in ("Unsupported upgrade request.", f"{http.ADVICE} detected.", "ours"):
        wordy.warning(text)
    assert [http.is_ours(record) for record in caplog.records] == [False, False, False, True]


def test_requests_far_ahead_of_their_answers_are_refused(served):
    """Before they fill the memory: each takes a hundred times what a client has to send for it."""
    before = refusals(served, 400)
    with served.held(one()):
        ahead = served.start(one() + (1 + http.MOST_AHEAD) * request("GET", "/v2/health/live"))
        answer = ahead.answer()
    assert answer.status == 400 and "ahead" in error(answer)
    assert refusals(served, 400) == before + 1
    few = served.start((1 + http.MOST_AHEAD) * request("GET", "/v2/health/live"))
    received = b""
    while received.count(b'{"live":true}') <= http.MOST_AHEAD:
        received += few.socket.recv(2**16)


def test_headers_of_many_requests_on_one_connection_are_counted_apart(served):
    wanted = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000 + b"\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port), 10) as client:
        for _ in range(4):
            for start in range(0, len(wanted), 10_000):
                client.sendall(wanted[start : start + 10_000])
            assert client.recv(2**16).startswith(b"HTTP/1.1 200 ")
