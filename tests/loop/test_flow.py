import pytest

from trueloop.errors import ConfigError
from trueloop.loop.flow import Adaptive, Fixed, Flow, check_flow


def flow(**changes: object) -> Flow:
    return Flow(**({"problems_per_step": 4, "samples": Fixed(n=2)} | changes))


def test_synchronous_flow_is_accepted_and_holds_one_step_of_groups() -> None:
    check_flow(flow())
    assert flow().capacity == 4
    assert flow(max_staleness=2).capacity == 12


def test_a_sync_interval_beyond_the_staleness_starves_and_is_refused_with_both_ways_out() -> None:
    with pytest.raises(ConfigError, match=r"sync_every = 4 makes fresh groups 3 steps old") as error:
        check_flow(flow(sync_every=4, max_staleness=2))
    assert "flow.max_staleness >= 3" in str(error.value)
    assert "flow.sync_every <= 3" in str(error.value)
    check_flow(flow(sync_every=4, max_staleness=3))


def test_all_faults_of_a_flow_are_named_at_once() -> None:
    bad = flow(
        sync_every=3,
        max_reads=5,
        drop_zero_variance=True,
        samples=Adaptive(successes=4, failures=4, chunk=2, max_samples=6),
    )
    with pytest.raises(ConfigError) as error:
        check_flow(bad)
    assert len(str(error.value).splitlines()) == 3


def test_dropping_flat_groups_of_one_sample_could_never_fill_a_step() -> None:
    with pytest.raises(ConfigError, match="drops every group of one sample"):
        check_flow(flow(samples=Fixed(n=1), drop_zero_variance=True))


def test_adaptive_sampling_that_asks_for_nothing_samples_nothing_and_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing would be sampled"):
        check_flow(flow(samples=Adaptive(successes=0, failures=0, chunk=1, max_samples=4)))
