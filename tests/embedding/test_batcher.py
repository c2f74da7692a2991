"""Who gets into which batch, who is refused, and that everybody is answered."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from service.errors import Overloaded, Stopping
from tests.embedding.batching import Worker, batching, busy, play, queued, until


def test_each_caller_gets_the_results_of_its_own_items_in_their_order() -> None:
    worker = Worker()
    with batching(worker.run, max_batch=4) as batcher:

        async def scene() -> list[list[int]]:
            return await asyncio.gather(*(batcher.submit(list(range(first, first + 5))) for first in range(0, 50, 5)))

        assert play(scene()) == [[2 * item for item in range(first, first + 5)] for first in range(0, 50, 5)]
    assert sorted(item for batch in worker.batches for item in batch) == list(range(50))
    assert max(map(len, worker.batches)) <= 4


def test_a_lone_caller_does_not_wait_for_company() -> None:
    with batching(Worker().run) as batcher:

        async def scene() -> float:
            times = []
            for item in range(50):
                began = time.perf_counter()
                await batcher.submit([item])
                times.append(time.perf_counter() - began)
            return min(times)

        assert play(scene()) < 0.001, "even the quickest of 50 waited for a timer"


def test_what_gathers_while_the_worker_is_busy_is_the_next_batch() -> None:
    worker, sizes = Worker(), list[int]()
    with batching(worker.run, max_batch=8, observe=sizes.append) as batcher:

        async def scene() -> None:
            first = await busy(batcher, worker)
            rest = await queued(batcher, *([item] for item in range(1, 12)))
            worker.release()
            await asyncio.gather(first, *rest)

        play(scene())
    assert worker.batches == [[0], list(range(1, 9)), [9, 10, 11]]
    assert sizes == [1, 8, 3]


def test_a_full_queue_refuses_at_once_and_takes_all_of_a_request_or_none() -> None:
    worker = Worker()
    with batching(worker.run, max_waiting=4) as batcher:

        async def scene() -> None:
            first = await busy(batcher, worker)
            rest = await queued(batcher, [1, 2, 3])
            for items in ([4, 5], [4, 5, 6, 7, 8]):
                with pytest.raises(Overloaded, match="Retry-After"):
                    await batcher.submit(items)  # the worker is held: this returns only because nobody waits for it
                assert batcher.waiting == 3
            rest += await queued(batcher, [4])
            with pytest.raises(Overloaded):
                await batcher.submit([5])
            worker.release()
            await asyncio.gather(first, *rest)

        play(scene())
    assert worker.batches == [[0], [1, 2, 3, 4]]


def test_a_request_larger_than_the_bound_is_taken_when_nobody_waits() -> None:
    worker = Worker()
    with batching(worker.run, max_batch=3, max_waiting=2) as batcher:
        assert play(batcher.submit([1, 2, 3, 4, 5])) == [2, 4, 6, 8, 10]
    assert worker.batches == [[1, 2, 3], [4, 5]]


def test_items_of_callers_who_left_never_reach_the_worker() -> None:
    worker = Worker()
    with batching(worker.run) as batcher:

        async def scene() -> None:
            first = await busy(batcher, worker)
            left, stayed = await queued(batcher, [1, 2], [3])
            left.cancel()
            with pytest.raises(asyncio.CancelledError):
                await left
            worker.release()
            assert await asyncio.gather(first, stayed) == [[0], [6]]

        play(scene())
    assert worker.batches == [[0], [3]]


def test_a_caller_who_leaves_while_its_batch_runs_disturbs_nobody() -> None:
    worker = Worker()
    with batching(worker.run) as batcher:

        async def scene() -> list[int]:
            first = await busy(batcher, worker)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            second = asyncio.create_task(batcher.submit([7]))
            worker.release()
            return await second

        assert play(scene()) == [14]


def test_callers_whose_event_loop_has_ended_do_not_stop_the_worker() -> None:
    worker = Worker()
    with batching(worker.run) as batcher:

        async def leave() -> None:
            task = await busy(batcher, worker)
            task.cancel()

        play(leave())
        worker.release()
        assert play(batcher.submit([4])) == [8]


def test_a_failing_batch_is_everybodys_error_and_the_next_one_works() -> None:
    worker = Worker()
    failing = [False]

    def run(items: list[int]) -> Sequence[int | Exception]:
        done = worker.run(items)
        if failing[0] and len(items) > 1:
            raise ValueError("the network failed")
        return done

    with batching(run) as batcher:

        async def scene() -> None:
            first = await busy(batcher, worker)
            rest = await queued(batcher, [1], [2, 3])
            failing[0] = True
            worker.release()
            answers = await asyncio.gather(first, *rest, return_exceptions=True)
            assert answers[0] == [0]
            assert [str(answer) for answer in answers[1:]] == ["the network failed"] * 2
            assert await batcher.submit([5]) == [10]

        play(scene())


def test_an_error_of_one_item_is_its_callers_alone() -> None:
    worker = Worker()

    def run(items: list[int]) -> Sequence[int | Exception]:
        worker.run(items)
        return [ValueError("13 is unlucky") if item == 13 else 2 * item for item in items]

    with batching(run) as batcher:

        async def scene() -> None:
            first = await busy(batcher, worker)
            good, bad, also_good = await queued(batcher, [1], [2, 13, 3], [4])
            worker.release()
            assert await asyncio.gather(first, good, also_good) == [[0], [2], [8]]
            with pytest.raises(ValueError, match="unlucky"):
                await bad

        play(scene())
    assert worker.batches == [[0], [1, 2, 13, 3, 4]]


@pytest.mark.parametrize("results", [[], [1], [1, 2, 3]])
def test_a_worker_that_loses_or_invents_results_fails_its_batch_instead_of_mixing_them_up(results: list[int]) -> None:
    with (
        batching(lambda items: results) as batcher,
        pytest.raises(RuntimeError, match=f"gave {len(results)} results for 2 items"),
    ):
        play(batcher.submit([1, 2]))


def test_closing_finishes_what_was_accepted_and_refuses_what_comes_after() -> None:
    worker = Worker()
    with batching(worker.run, max_batch=2) as batcher:

        async def scene() -> None:
            first = await busy(batcher, worker)
            rest = await queued(batcher, [1, 2, 3], [4])
            closing = asyncio.create_task(asyncio.to_thread(batcher.close))

            async def refused() -> bool:
                try:
                    await asyncio.wait_for(batcher.submit([9]), 0.05)
                except Stopping:
                    return True
                except TimeoutError:  # it came before `close` did, and left again
                    return False
                return False

            while not await refused():
                pass
            assert not closing.done()
            worker.release()
            assert await asyncio.gather(first, *rest) == [[0], [2, 4, 6], [8]]
            await closing

        play(scene())
        batcher.close()  # a second time changes nothing
        with pytest.raises(Stopping):
            play(batcher.submit([1]))
    assert 9 not in [item for batch in worker.batches for item in batch]


def test_shutting_down_under_load_answers_everyone() -> None:
    worker = Worker()

    def run(items: list[int]) -> Sequence[int | Exception]:
        time.sleep(0.002)
        return worker.run(items)

    with batching(run, max_batch=4, max_waiting=20) as batcher:

        async def scene() -> list[Any]:
            async def client(number: int) -> list[Any]:
                answers: list[Any] = []
                while not (answers and isinstance(answers[-1], Stopping)):
                    try:
                        answers.append(await batcher.submit([number, number]))
                    except (Overloaded, Stopping) as error:
                        answers.append(error)
                        await asyncio.sleep(0.001)
                return answers

            clients = [asyncio.create_task(client(number)) for number in range(40)]
            await until(lambda: len(worker.batches) > 5)
            await asyncio.to_thread(batcher.close)
            return await asyncio.gather(*clients)

        for number, answers in enumerate(play(scene())):
            assert isinstance(answers[-1], Stopping)
            done = [answer for answer in answers if not isinstance(answer, Exception)]
            assert all(answer == [2 * number] * 2 for answer in done)
    assert batcher.waiting == 0


def test_an_empty_request_is_answered_with_nothing() -> None:
    worker = Worker()
    with batching(worker.run) as batcher:
        assert play(batcher.submit([])) == []
    assert worker.batches == []


def test_who_comes_in_one_turn_of_the_loop_is_in_one_batch() -> None:
    """However fast the thread is: it is not woken for the first of them."""
    worker = Worker()

    async def scene() -> list[list[int]]:
        return await asyncio.gather(*(batcher.submit([number]) for number in range(5)))

    with batching(worker.run) as batcher:
        for _ in range(20):
            assert play(scene()) == [[0], [2], [4], [6], [8]]
    assert worker.batches == [[0, 1, 2, 3, 4]] * 20
