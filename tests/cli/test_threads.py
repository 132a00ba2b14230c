"""one_blas_thread: one inside, as many as before outside, and the environment decides."""

import pytest

from tinyseq.train import threads


@pytest.fixture
def counted(monkeypatch):
    """A library with 4 threads, in place of the real one."""
    number = [4]
    functions = lambda: number[0], lambda n: number.__setitem__(0, n)  # noqa: E731
    monkeypatch.setattr(threads, "_openblas", lambda: functions)
    for variable in threads._VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    return number


def test_one_inside_and_as_many_as_before_outside(counted):
    with threads.one_blas_thread():
        assert counted == [1]
    assert counted == [4]
    with pytest.raises(ZeroDivisionError), threads.one_blas_thread():
        raise ZeroDivisionError
    assert counted == [4]


def test_a_number_in_the_environment_is_left_alone(counted, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with threads.one_blas_thread():
        assert counted == [4]


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
