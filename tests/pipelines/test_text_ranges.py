import threading

import pytest

from pipelines import text_ranges
from pipelines.text_ranges import Threads


@pytest.mark.parametrize("size", [8, 11, 1000])
@pytest.mark.parametrize("last", ["", "\n"])
def test_ranges_are_whole_lines_and_all_of_them(tmp_path, monkeypatch, size, last):
    monkeypatch.setattr(text_ranges, "RANGE_BYTES", size)
    lines = ["ab", "", "a line", "c", "", "de"]
    path = tmp_path / "text"
    path.write_text("\n".join(lines) + last)
    with Threads(2) as threads:
        ranges = text_ranges.cut(path, threads)
    assert len(ranges) > 1 or size == 1000
    for at in ranges:
        expected = lines[at.first_line : at.next_line]
        assert at.read() == "\n".join([*expected, ""]).encode()
    assert [at.first_line for at in ranges[1:]] == [at.next_line for at in ranges[:-1]]
    assert (ranges[0].first_line, ranges[-1].next_line) == (0, len(lines))


def test_an_empty_file_is_one_range_of_no_lines(tmp_path):
    (tmp_path / "text").touch()
    with Threads(1) as threads:
        (only,) = text_ranges.cut(tmp_path / "text", threads)
    assert (only.read(), only.first_line, only.next_line) == (b"", 0, 0)


def test_results_come_in_the_order_of_the_tasks_and_few_tasks_are_begun():
    begun, second = [], threading.Event()

    def job(task):
        begun.append(task)
        if task == 0:
            assert second.wait(10)  # the second is done first
        elif task == 1:
            second.set()
        return -task

    with Threads(2) as threads:
        results = threads.map(job, range(100))
        assert [next(results), next(results)] == [0, -1]
        assert max(begun) <= 6
        assert list(results) == [-task for task in range(2, 100)]


def test_an_error_of_a_job_is_raised():
    with Threads(2) as threads, pytest.raises(ZeroDivisionError):
        list(threads.map(lambda task: 1 // task, [1, 0, 1]))
