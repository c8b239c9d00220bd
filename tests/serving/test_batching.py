"""Continuous batching, with a predictor that records which sentences shared a row."""

import asyncio
import os
import random
import sys
import threading
import time
from collections.abc import Sequence

import pytest

from errors import QueueFullError
from prediction.types import Encoded, Prediction
from serving.batching import Batcher
from tests.helpers.fake_predictor import FakePredictor, expected
from tests.helpers.net import wait_until_async


class WatchedBatcher(Batcher):
    @property
    def is_at_rest(self):
        """Whether every worker sleeps: one that is awake takes the next sentence by itself."""
        return not self.waiting and self._asleep == self._workers


class ThreadRecorder(FakePredictor):
    """Records which thread ran each row."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[threading.Thread] = []

    def predict_encoded(
        self, encoded: Sequence[Encoded], exclusive: bool = False
    ) -> list[Prediction]:
        self.threads.append(threading.current_thread())
        return super().predict_encoded(encoded, exclusive)


def run(
    scenario,
    *,
    fake=None,
    workers=1,
    row_tokens=8,
    max_waiting=1000,
    spare_shares=0,
    inline_tokens=0,
    seconds=0.0,
):
    """Run ``scenario(batcher, fake)`` on a loop of its own and close the batcher after it."""
    fake = fake or FakePredictor(seconds)

    async def wrapped():
        batcher = WatchedBatcher(
            fake.predict_encoded,
            workers=workers,
            row_tokens=row_tokens,
            max_waiting=max_waiting,
            spare_shares=spare_shares,
            inline_tokens=inline_tokens,
        )
        try:
            return await asyncio.wait_for(scenario(batcher, fake), 20)
        finally:
            fake.gate.set()
            batcher.close()

    return asyncio.run(wrapped())


def ask(batcher, fake, *texts):
    return asyncio.ensure_future(batcher.predict([fake.encode(text) for text in texts]))


def test_a_lone_request_is_run_at_once_and_answered():
    async def scenario(batcher, fake):
        assert await ask(batcher, fake, "a b") == [expected("a b")]
        assert fake.rows == [["a b"]]

    run(scenario)


def test_a_short_lone_sentence_is_run_on_the_loop_s_own_thread():
    async def scenario(batcher, fake):
        async def rest():
            await wait_until_async(lambda: batcher.is_at_rest)

        assert await ask(batcher, fake, "short") == [expected("short")]
        assert await ask(batcher, fake, "longer than that") == [expected("longer than that")]
        await rest()
        assert await asyncio.gather(ask(batcher, fake, "two"), ask(batcher, fake, "more"))
        await rest()
        with pytest.raises(RuntimeError, match="secret"):
            await ask(batcher, fake, "explode")
        assert batcher.waiting == 0

    recorder = ThreadRecorder()
    run(scenario, fake=recorder, inline_tokens=2)
    here = threading.current_thread()
    assert [thread is here for thread in recorder.threads] == [True, False, False, True]


def test_only_a_lone_sentence_is_told_that_it_is_alone():
    async def scenario(batcher, fake):
        await ask(batcher, fake, "lone")
        await wait_until_async(lambda: batcher.is_at_rest)

        # Held back, so that the second one does not start after the end of the first.
        fake.gate.clear()
        both = ask(batcher, fake, "two", "sentences")
        await wait_until_async(lambda: fake.running == 2)
        fake.gate.set()
        await both
        await wait_until_async(lambda: batcher.is_at_rest)

        fake.gate.clear()
        first = ask(batcher, fake, "first")
        await wait_until_async(lambda: fake.running == 1)
        second = ask(batcher, fake, "second")
        await wait_until_async(lambda: fake.running == 2)
        fake.gate.set()
        await asyncio.gather(first, second)
        assert fake.exclusive == [["lone"], ["first"]]

    run(scenario, workers=2)


def test_no_sentences_no_row():
    async def scenario(batcher, fake):
        assert await batcher.predict([]) == []
        assert fake.rows == []

    run(scenario)


def test_what_waits_is_packed_into_one_row_up_to_its_tokens():
    async def scenario(batcher, fake):
        fake.gate.clear()
        first = ask(batcher, fake, "first")
        await wait_until_async(lambda: fake.running)
        others = [ask(batcher, fake, f"w{n} x y") for n in range(4)]
        await asyncio.sleep(0)
        assert batcher.waiting == 4
        fake.gate.set()
        await asyncio.gather(first, *others)
        assert fake.rows == [["first"], ["w0 x y", "w1 x y"], ["w2 x y", "w3 x y"]]
        assert batcher.waiting == 0

    run(scenario, row_tokens=8)


def test_a_sentence_longer_than_a_row_still_runs():
    async def scenario(batcher, fake):
        text = "a b c d e f g h i j"
        assert await ask(batcher, fake, text) == [expected(text)]

    run(scenario, row_tokens=4)


@pytest.mark.parametrize(("spare_shares", "left"), [(0, 0), (1, 2)])
def test_what_waits_is_shared_and_whoever_is_done_first_finds_what_is_left(spare_shares, left):
    async def scenario(batcher, fake):
        fake.gate.clear()
        answer = ask(batcher, fake, *"abcdef")
        await wait_until_async(lambda: fake.running == 2)
        assert batcher.waiting == left
        fake.gate.set()
        assert await answer == [expected(text) for text in "abcdef"]
        assert list(map(len, fake.rows[:2])) == [(6 - left) / 2] * 2

    run(scenario, workers=2, spare_shares=spare_shares)


def test_a_single_worker_leaves_nothing():
    async def scenario(batcher, fake):
        await ask(batcher, fake, *"abcdef")
        assert list(map(len, fake.rows)) == [6]

    run(scenario, spare_shares=1)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_workers_give_way_to_the_event_loop():
    niceness = []

    class Recorder(FakePredictor):
        def predict_encoded(self, encoded, exclusive=False):
            niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return super().predict_encoded(encoded, exclusive)

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    async def scenario(batcher, fake):
        await ask(batcher, fake, "one", "two")

    run(scenario, fake=Recorder(), workers=2)
    assert before < min(niceness)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_a_small_request_does_not_wait_for_the_end_of_a_large_one():
    async def scenario(batcher, fake):
        large = ask(batcher, fake, *(f"s{n}" for n in range(400)))
        await wait_until_async(lambda: fake.rows)
        small = await ask(batcher, fake, "small")
        assert small == [expected("small")]
        assert not large.done()
        assert await large == [expected(f"s{n}") for n in range(400)]

    run(scenario, row_tokens=4, seconds=0.001)


def test_as_many_sentences_as_may_wait_find_room() -> None:
    async def scenario(batcher: WatchedBatcher, fake: FakePredictor) -> None:
        assert await ask(batcher, fake, *"abcd") == [expected(text) for text in "abcd"]

    run(scenario, max_waiting=4)


def test_past_the_limit_it_refuses_at_once_and_recovers():
    async def scenario(batcher, fake):
        fake.gate.clear()
        running = ask(batcher, fake, "running")
        await wait_until_async(lambda: fake.running)
        waiting = ask(batcher, fake, "a", "b", "c")
        await asyncio.sleep(0)
        started = time.perf_counter()
        with pytest.raises(QueueFullError, match="3 sentences are waiting"):
            await ask(batcher, fake, "d", "e")
        assert time.perf_counter() - started < 0.1
        fake.gate.set()
        await asyncio.gather(running, waiting)
        assert await ask(batcher, fake, "d", "e") == [expected("d"), expected("e")]

    run(scenario, max_waiting=4)


def test_a_failing_row_fails_its_requests_and_nothing_else():
    async def scenario(batcher, fake):
        with pytest.raises(RuntimeError, match="secret"):
            await ask(batcher, fake, *(["explode"] + ["more"] * 50))
        assert await ask(batcher, fake, "fine") == [expected("fine")]
        await wait_until_async(lambda: batcher.waiting == 0)

    run(scenario, row_tokens=2)


def test_a_sentence_that_fails_does_not_fail_strangers_in_its_row():
    async def scenario(batcher, fake):
        fake.gate.clear()
        first = ask(batcher, fake, "first")
        await wait_until_async(lambda: fake.running)
        requests = [ask(batcher, fake, text) for text in ("good", "explode", "fine")]
        await asyncio.sleep(0)
        fake.gate.set()
        assert await first == [expected("first")]
        assert await requests[0] == [expected("good")]
        assert await requests[2] == [expected("fine")]
        with pytest.raises(RuntimeError, match="secret"):
            await requests[1]
        assert ["good", "explode", "fine"] in fake.rows

    run(scenario)


def test_a_cancelled_request_is_not_run():
    async def scenario(batcher, fake):
        fake.gate.clear()
        running = ask(batcher, fake, "running")
        await wait_until_async(lambda: fake.running)
        cancelled = ask(batcher, fake, "cancelled", "too")
        await asyncio.sleep(0)
        cancelled.cancel()
        kept = ask(batcher, fake, "kept")
        fake.gate.set()
        assert await running == [expected("running")]
        assert await kept == [expected("kept")]
        assert ["cancelled"] not in fake.rows
        assert "cancelled" not in [text for row in fake.rows for text in row]
        assert batcher.waiting == 0

    run(scenario)


def test_a_cancelled_request_leaves_no_tokens_behind() -> None:
    async def scenario(batcher: WatchedBatcher, fake: ThreadRecorder) -> None:
        fake.gate.clear()
        running = ask(batcher, fake, "too long for the loop")
        await wait_until_async(lambda: fake.running)
        cancelled = ask(batcher, fake, "cancelled", "too")
        await asyncio.sleep(0)
        cancelled.cancel()
        fake.gate.set()
        await running

        # With tokens left over it would count as too long for the loop's own thread.
        await wait_until_async(lambda: batcher.is_at_rest)
        await ask(batcher, fake, "short")
        assert fake.threads[-1] is threading.current_thread()

    run(scenario, fake=ThreadRecorder(), inline_tokens=2)


def test_every_answer_belongs_to_its_question_under_load():
    dice = random.Random(0)

    async def client(batcher, fake, number):
        for turn in range(20):
            texts = [
                f"{number} {turn} {n} " + "x " * dice.randrange(8)
                for n in range(dice.choice([1, 1, 1, 5, 30]))
            ]
            request = ask(batcher, fake, *texts)
            if dice.random() < 0.1:
                await asyncio.sleep(0)
                request.cancel()
                continue
            assert await request == [expected(text) for text in texts]

    async def scenario(batcher, fake):
        await asyncio.gather(*(client(batcher, fake, number) for number in range(50)))
        # The last ones that were cancelled are dropped when their turn comes.
        await wait_until_async(lambda: batcher.waiting == 0)
        assert max(map(len, fake.rows)) > 1

    run(scenario, workers=3, row_tokens=32, max_waiting=100_000)


def test_rows_are_reported():
    seen = []

    async def scenario():
        fake = FakePredictor()
        batcher = WatchedBatcher(
            fake.predict_encoded,
            workers=1,
            row_tokens=8,
            max_waiting=10,
            record_row=lambda *row: seen.append(row),
        )
        await ask(batcher, fake, "a b", "c")
        batcher.close()

    asyncio.run(scenario())
    assert [(sentences, tokens) for sentences, tokens, _ in seen] == [(2, 3)]
