import io

from sim2arm.cli.progress import Progress, duration, scaled


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_every_ten_seconds_and_the_last() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress("train", 1000, clock=clock, stream=stream) as progress:
        for second in range(1, 26):
            clock.now = 100.0 + second
            progress.update(second * 40)
    lines = stream.getvalue().splitlines()
    # at 1, 11 and 21 s, and the end at 25 s
    assert [line.split("  ")[1] for line in lines] == [
        "40 / 1 k steps",
        "440 / 1 k steps",
        "840 / 1 k steps",
        "1 k / 1 k steps",
    ]
    assert "40 steps/s" in lines[1]
    assert "0:14 left" in lines[1]  # 560 steps at 40 a second
    assert "\r" not in stream.getvalue()


def test_the_end_stands_in_a_log_once() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress("film", 40, clock=clock, stream=stream) as progress:
        clock.now = 120.0
        progress.update(40)
    assert stream.getvalue().splitlines() == ["film  40 / 40 steps  100 %  2 steps/s  0:20 elapsed"]


def test_a_terminal_line_is_overwritten_whole() -> None:
    clock, stream = Clock(), Terminal()
    with Progress("eval", 10, "episodes", clock=clock, stream=stream) as progress:
        clock.now += 1
        progress.update(5, note="a long remark")
        clock.now += 1
        progress.update(10, note="-")
    shown = stream.getvalue().split("\r")[1:]
    assert len(shown[1]) == len(shown[0])  # blanks hide the rest of the longer line
    assert stream.getvalue().count("\n") == 1


def test_what_is_said_in_between_stays_above_the_line() -> None:
    clock, stream = Clock(), Terminal()
    with Progress("eval", 10, clock=clock, stream=stream) as progress:
        clock.now += 1
        progress.update(5)
        progress.say("one broke")
    lines = stream.getvalue().split("\n")
    assert lines[0].rpartition("\r")[2].rstrip() == "one broke"
    before = lines[0].split("\r")[1]
    assert len(lines[0].rpartition("\r")[2]) == len(before)  # blanks hide the line below it
    assert lines[1].startswith("\reval  5 / 10 steps")
    log = io.StringIO()
    Progress("eval", stream=log).say("one broke")
    assert log.getvalue() == "one broke\n"


def test_the_rate_is_that_of_the_last_thirty_seconds() -> None:
    clock = Clock()
    progress = Progress("train", clock=clock, stream=io.StringIO())
    for second in range(1, 101):
        clock.now = 100.0 + second
        progress.update(second * 10 if second <= 50 else 500 + (second - 50) * 100)
    assert progress.rate() == 100.0


def test_a_resumed_run_does_not_count_what_was_done_before() -> None:
    clock = Clock()
    progress = Progress("train", 2000, done=1000, clock=clock, stream=io.StringIO())
    clock.now += 10
    progress.update(1100, success=0.8351)
    assert progress.rate() == 10.0
    assert "55 %" in progress.line()
    assert "1:30 left" in progress.line()
    assert progress.line().endswith("success 0.835")


def test_without_a_total_there_is_no_share() -> None:
    clock = Clock()
    progress = Progress("drive", clock=clock, stream=io.StringIO())
    clock.now += 2
    progress.update(4)
    assert progress.line() == "drive  4 steps  2 steps/s  0:02 elapsed"


def test_texts() -> None:
    assert [scaled(x) for x in (7, 12_345, 2_300_000, 4e9)] == ["7", "12.3 k", "2.3 M", "4 G"]
    assert [duration(x) for x in (5, 65, 3725)] == ["0:05", "1:05", "1:02:05"]
