"""The queue of the server, without HTTP, device or real time: nothing is lost, mixed up or late."""

import threading

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from served import wait_until

from fockjax.serving.batcher import Batcher, Closed, Full

LARGEST, MOST, WAIT, CAPACITY = 4, 6, 1.0, 10


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Device:
    """Doubles rows, and remembers them; fails when told to."""

    def __init__(self, clock):
        self.clock, self.ran, self.fails = clock, [], False

    def __call__(self, values):
        self.ran.append((self.clock.now, values[:, 0].tolist()))
        if self.fails:
            raise RuntimeError("the device failed")
        return {"double": 2 * values, "first": values[:, 0]}


def numbered(start, count):
    return np.arange(start, start + count, dtype=float)[:, None]


class Queue(RuleBasedStateMachine):
    """Requests of any size come, wait, are given up, fail; batches run when they are due."""

    def __init__(self):
        super().__init__()
        self.clock, self.reasons = Clock(), []
        self.devices = [Device(self.clock), Device(self.clock)]
        self.batcher = Batcher(
            LARGEST, WAIT, CAPACITY, most=MOST, clock=self.clock, dropped=self.reasons.append
        )
        self.requests = []  # (future, device, rows, deadline)
        self.count = 0

    def waiting(self):
        """Rows in the queue that someone still waits for."""
        ran = {row for device in self.devices for _, rows in device.ran for row in rows}
        return sum(
            sum(row not in ran for row in values[:, 0])
            for future, _, values, deadline in self.requests
            if not future.done() and self.clock.now < deadline
        )

    @rule(rows=st.integers(1, CAPACITY + 1), device=st.integers(0, 1), seconds=st.integers(1, 4))
    def submit(self, rows, device, seconds):
        room = CAPACITY - self.waiting()
        values = numbered(self.count, rows)
        run = self.devices[device]
        if rows > room:
            with pytest.raises(Full):
                self.batcher.submit(run, values, seconds)
            return
        idle = self.batcher.delay() is None
        future = self.batcher.submit(run, values, seconds)
        assert not idle or self.batcher.delay() <= 0  # the device is idle: at once
        self.requests.append((future, run, values, self.clock.now + seconds))
        self.count += rows

    @rule(seconds=st.sampled_from([0.3, 0.7, 2.0]))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def give_up(self, data):
        data.draw(st.sampled_from(self.requests))[0].cancel()

    @rule(fails=st.booleans())
    def batch(self, fails):
        if self.batcher.delay() is None:
            assert self.batcher.step() == 0
            return
        for device in self.devices:
            device.fails = fails
        before = [len(device.ran) for device in self.devices]
        waiting, failed = self.waiting(), self.failed()
        rows = self.batcher.step()
        ran = [d.ran[n:] for d, n in zip(self.devices, before, strict=True)]
        if rows == 0:
            assert waiting == 0 and not ran[0] and not ran[1]
            return
        (single,) = ran[0] + ran[1]  # one batch, on one device
        numbers = single[1]
        assert rows == len(numbers) <= MOST and numbers == sorted(numbers)
        for future, _, values, deadline in self.requests:
            own = values[:, 0].tolist()
            here = [row for row in own if row in numbers]
            assert not here or len(own) > LARGEST or here == own  # never split without need
            assert not here or deadline > self.clock.now  # never computed too late
            if here and fails:
                assert future.cancelled() or isinstance(future.exception(0), RuntimeError)
        if not fails:
            assert self.failed() == failed

    def failed(self):
        return sum(
            future.done()
            and not future.cancelled()
            and isinstance(future.exception(), RuntimeError)
            for future, *_ in self.requests
        )

    @invariant()
    def the_queue_counts_its_rows(self):
        assert (self.batcher.delay() is None) == (self.batcher.rows == 0)
        assert 0 <= self.batcher.rows <= CAPACITY and self.batcher.busy_for() == 0
        assert self.batcher.rows >= self.waiting()

    @invariant()
    def answers_are_those_of_the_rows(self):
        for future, _, values, _ in self.requests:
            if future.done() and not future.cancelled() and future.exception() is None:
                np.testing.assert_array_equal(future.result()["double"], 2 * values)
                np.testing.assert_array_equal(future.result()["first"], values[:, 0])

    def teardown(self):
        """A drain answers all that is left, and takes nothing more."""
        for device in self.devices:
            device.fails = False
        left = [request for request in self.requests if not request[0].done()]
        self.batcher.close()
        self.batcher.work()
        assert self.batcher.rows == 0
        for future, _, _, deadline in left:
            late = deadline <= self.clock.now
            assert future.done() and isinstance(future.exception(), TimeoutError) == late
        with pytest.raises(Closed):
            self.batcher.submit(self.devices[0], numbered(0, 1), 1)
        for device in self.devices:
            rows = [row for _, batch in device.ran for row in batch]
            assert rows == sorted(set(rows))  # each row once, in order
        late = [f for f, *_ in self.requests if not f.cancelled()]
        late = [f for f in late if isinstance(f.exception(), TimeoutError)]
        assert len(late) <= self.reasons.count("expired") and len(self.reasons) <= len(
            [f for f, *_ in self.requests if f.cancelled()] + late
        )


Queue.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestQueue = Queue.TestCase


def test_who_finds_the_device_busy_waits_for_others_but_not_for_long():
    clock = Clock()
    batcher = Batcher(LARGEST, WAIT, CAPACITY, clock=clock)
    device = Device(clock)
    late = []

    def slow(values):
        late.append(batcher.submit(device, numbered(1, 1), 9))
        clock.now += 0.25
        assert batcher.busy_for() == 0.25
        return device(values)

    batcher.submit(slow, numbered(0, 1), 9)
    assert batcher.delay() == 0
    batcher.step()
    assert batcher.delay() == pytest.approx(WAIT - 0.25)
    batcher.submit(device, numbered(2, 1), 9)
    assert batcher.delay() == pytest.approx(WAIT - 0.25)
    batcher.submit(device, numbered(3, 2), 9)  # a batch is full
    assert batcher.delay() == 0
    assert batcher.step() == 4 and late[0].result()["first"].tolist() == [1.0]


def test_a_second_thread_starts_a_full_batch_beside_one_that_runs_and_no_other():
    clock, both, gate = Clock(), threading.Barrier(3), threading.Event()
    batcher = Batcher(LARGEST, WAIT, CAPACITY, clock=clock)

    def slow(values):
        both.wait(10)
        gate.wait(10)
        return {"first": values[:, 0]}

    threads = [threading.Thread(target=batcher.step) for _ in range(2)]
    small = batcher.submit(slow, numbered(0, 1), 99)
    threads[0].start()
    wait_until(lambda: not batcher.rows)  # it has begun
    waiting = batcher.submit(slow, numbered(1, 1), 99)
    clock.now += 2 * WAIT
    assert batcher.delay() is None  # it is due, but a batch runs
    full = batcher.submit(slow, numbered(2, LARGEST - 1), 99)
    assert batcher.delay() == 0
    threads[1].start()
    both.wait(10)  # both run
    assert batcher.busy_for() == 2 * WAIT and batcher.rows == 0
    gate.set()
    for thread in threads:
        thread.join(10)
    found = [future.result(0)["first"].tolist() for future in (small, waiting, full)]
    assert found == [[0.0], [1.0], [2.0, 3.0, 4.0]] and batcher.busy_for() == 0


def test_results_of_a_large_request_are_in_order_whichever_piece_is_ready_first():
    batcher, second = Batcher(LARGEST, WAIT, 99), threading.Event()

    def run(values):
        if values[0, 0] == 0:
            second.wait(10)
        else:
            second.set()
        return {"first": values[:, 0]}

    threads = [threading.Thread(target=batcher.work) for _ in range(2)]
    for thread in threads:
        thread.start()
    found = batcher.submit(run, numbered(0, 3 * LARGEST), 99).result(10)
    batcher.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert second.is_set() and found["first"].tolist() == list(range(3 * LARGEST))


def test_answers_for_different_functions_do_not_meet():
    clock = Clock()
    batcher = Batcher(LARGEST, WAIT, CAPACITY, clock=clock)
    one, other = Device(clock), Device(clock)
    futures = [batcher.submit(run, numbered(k, 1), 9) for k, run in enumerate((one, one, other))]
    assert batcher.step() == 2 and batcher.step() == 1
    assert all(future.done() for future in futures)


def test_a_request_is_counted_once_however_many_pieces_are_dropped():
    clock, reasons = Clock(), []
    batcher = Batcher(LARGEST, WAIT, CAPACITY, clock=clock, dropped=reasons.append)
    batcher.submit(Device(clock), numbered(0, 10), 9).cancel()
    assert batcher.step() == 0 and reasons == ["vanished"]


def test_no_request_hangs_when_a_thread_dies():
    batcher, gate, died = Batcher(LARGEST, WAIT, CAPACITY), threading.Event(), []

    def dies(values):
        gate.wait(10)
        raise SystemExit

    def work():
        try:
            batcher.work()
        except SystemExit:
            died.append(1)

    device = Device(Clock())
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    first = batcher.submit(dies, numbered(0, 1), 60)
    second = batcher.submit(dies, numbered(1, LARGEST), 60)
    wait_until(lambda: not batcher.rows)  # they have begun
    third = batcher.submit(device, numbered(9, 9), 60)
    gate.set()
    assert isinstance(first.exception(10), Closed)
    assert isinstance(second.exception(10), Closed)
    assert isinstance(third.exception(10), Closed)
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert len(died) == 2 and not device.ran and batcher.rows == 0
    with pytest.raises(Closed):
        batcher.submit(device, numbered(0, 1), 1)


@pytest.mark.parametrize("count", [1, 2])
def test_many_threads_get_their_own_answers(count):
    batcher = Batcher(largest=16, wait=1e-3, capacity=10**6)
    workers = [threading.Thread(target=batcher.work) for _ in range(count)]
    for worker in workers:
        worker.start()
    device, wrong = Device(Clock()), []

    def ask(start):
        for k in range(40):
            values = numbered(1000 * start + k, 1 + (k * start) % 40)
            found = batcher.submit(device, values, 60).result(10)
            if not np.array_equal(found["double"], 2 * values):
                wrong.append(values)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batcher.close()
    for worker in workers:
        worker.join(10)
        assert not worker.is_alive()
    assert not wrong
