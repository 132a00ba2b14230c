"""one_thread: one inside, as many as before outside, and the environment decides."""

import threading as python_threads

import pytest

from tinyseq import threads


@pytest.fixture
def counted(monkeypatch):
    """A library with 4 threads, in place of the real one."""
    number = [4]
    functions = lambda: number[0], lambda n: number.__setitem__(0, n)  # noqa: E731
    monkeypatch.setattr(threads, "_openblas", lambda: functions)
    for variable in threads._VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    return number


@pytest.mark.parametrize("limit", [threads.one_thread, threads.one_blas_thread])
def test_one_inside_and_as_many_as_before_outside(counted, limit):
    with limit():
        assert counted == [1]
    assert counted == [4]
    with pytest.raises(ZeroDivisionError), limit():
        raise ZeroDivisionError
    assert counted == [4]


def test_a_number_in_the_environment_is_left_alone(counted, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with threads.one_thread():
        assert counted == [4]
        assert threads.usable_threads() == 4


def test_what_may_be_used(counted):
    assert threads.usable_threads() == 4
    with threads.one_blas_thread():  # for a while, which is no wish
        assert threads.usable_threads() == 4
    with threads.one_thread():
        assert threads.usable_threads() == 1
        with threads.one_blas_thread():
            assert threads.usable_threads() == 1
    assert threads.usable_threads() == 4


def test_the_last_thread_to_leave_puts_the_number_back(counted):
    inside, leave = python_threads.Event(), python_threads.Event()

    def other():
        with threads.one_blas_thread():
            inside.set()
            leave.wait(10)

    thread = python_threads.Thread(target=other)
    thread.start()
    assert inside.wait(10)
    with threads.one_blas_thread():
        leave.set()
        thread.join(10)
        assert counted == [1]
    assert counted == [4]


def test_another_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(threads, "_openblas", lambda: None)
    with threads.one_thread():
        assert threads.usable_threads() == 1
    assert threads.usable_threads() == 1


def test_the_library_of_numpys_wheels_is_found():
    functions = threads._openblas()
    if functions is None:
        pytest.skip("this NumPy does not come with OpenBLAS")
    get, set_ = functions
    before = get()
    try:
        set_(1)
        assert get() == 1
    finally:
        set_(before)
