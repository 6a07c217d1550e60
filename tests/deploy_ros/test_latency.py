from sim2arm_ros.latency import LatencyMeter


def test_the_observation_is_the_one_that_the_request_names() -> None:
    meter = LatencyMeter()
    # Observations at 0, 4 and 8 ms; the policy saw the one of 4 ms, the command came at 13 ms.
    for k in range(3):
        meter.sent(stamp_ns=1000 + k, steady_ns=k * 4_000_000)
    assert meter.asked("a/0", 1001) is None
    assert meter.arrived("a/0", 13_000_000) == 0.009


def test_request_and_command_come_in_either_order() -> None:
    meter = LatencyMeter()
    meter.sent(1000, 0)
    assert meter.arrived("a/0", 5_000_000) is None
    assert meter.asked("a/0", 1000) == 0.005


def test_an_observation_that_is_sent_again_counts_from_the_first_time() -> None:
    meter = LatencyMeter()
    meter.sent(1000, 0)
    meter.sent(1000, 20_000_000)
    meter.asked("a/0", 1000)
    assert meter.arrived("a/0", 30_000_000) == 0.03


def test_a_command_is_counted_once_and_only_for_its_own_tick() -> None:
    meter = LatencyMeter()
    meter.sent(1000, 0)
    meter.asked("a/0", 1000)
    assert meter.arrived("a/1", 1_000_000) is None  # another tick
    assert meter.arrived("a/0", 2_000_000) == 0.002
    assert meter.arrived("a/0", 9_000_000) is None  # its request is used up


def test_an_unknown_observation_gives_no_latency() -> None:
    meter = LatencyMeter()
    meter.asked("a/0", 77)
    assert meter.arrived("a/0", 1) is None


def test_memory_is_bounded() -> None:
    meter = LatencyMeter()
    meter.sent(0, 0)
    for k in range(1, 3000):
        meter.sent(k, k)
        meter.arrived(f"x/{k}", k)
        meter.asked(f"y/{k}", k)
    meter.asked("a/0", 0)
    assert meter.arrived("a/0", 5000) is None  # its observation was forgotten
    meter.asked("a/1", 2999)
    assert meter.arrived("a/1", 5000) == (5000 - 2999) / 1e9
