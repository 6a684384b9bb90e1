"""What is known of jobs: bounded, merged with what the store has, and honest about what is missing."""

from proxy.enrich.jobs.known import KnownJobs, job_id
from storage.record import Job, now_us


def test_the_same_name_in_another_project_is_another_job() -> None:
    """Nobody ties his job to a stranger's record."""
    assert job_id("a", "response/1") != job_id("b", "response/1")
    assert len(job_id(None, "x" * 10_000)) == 16


def test_what_was_evicted_may_have_been_counted() -> None:
    """Only of younger jobs is it known that they are new."""
    known = KnownJobs(max_jobs=2)
    known.load([])
    assert not known.may_be_forgotten(None)
    for number in range(3):
        known.put(Job(bytes([number]) * 16, b"r" * 16, number * 10))
    assert known.get(b"\0" * 16) is None
    assert known.get(b"\2" * 16) is not None
    known.put(Job(b"z" * 16, b"r" * 16, 40))
    assert known.may_be_forgotten(10)
    assert known.may_be_forgotten(None)
    assert not known.may_be_forgotten(11)


def test_before_the_store_is_there_older_jobs_are_not_known() -> None:
    """Then what was seen meanwhile is merged with what it has."""
    before_us = now_us() - 1
    known = KnownJobs()
    assert known.may_be_forgotten(before_us)
    assert not known.may_be_forgotten(now_us() + 1_000_000)
    known.put(Job(b"a" * 16, b"late" * 4, 50))
    known.load([Job(b"a" * 16, b"begun" * 3 + b"!", 20, b"c" * 16), Job(b"b" * 16, b"r" * 16, 10)])
    assert known.get(b"a" * 16) == Job(b"a" * 16, b"begun" * 3 + b"!", 20, b"c" * 16)
    assert not known.may_be_forgotten(5)


def test_a_store_with_more_than_fit_leaves_older_ones_unknown() -> None:
    """The oldest that was read is the limit."""
    known = KnownJobs(max_jobs=2)
    known.load([Job(b"a" * 16, b"r" * 16, 30), Job(b"b" * 16, b"r" * 16, 20)])
    assert known.may_be_forgotten(20)
    assert not known.may_be_forgotten(21)
