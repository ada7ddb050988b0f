import pytest

from bench.driver import LoadFailed
from bench.sides.backbone import LAGS, p95_of

TEXT = """
# TYPE crm_inbox_lag_seconds histogram
crm_inbox_lag_seconds_bucket{le="0.05"} 80.0
crm_inbox_lag_seconds_bucket{le="0.1"} 100.0
crm_inbox_lag_seconds_bucket{le="+Inf"} 100.0
crm_inbox_lag_seconds_count 100.0
"""


def test_a_percentile_lies_evenly_in_its_bucket() -> None:
    found = {float(bound): float(count) for bound, count in LAGS.findall(TEXT)}
    assert p95_of(found) == pytest.approx(0.05 + 0.05 * 15 / 20)


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(LoadFailed):
        p95_of({0.05: 0.0, float("inf"): 0.0})


def test_the_slowest_count_as_the_last_bound() -> None:
    assert p95_of({0.05: 1.0, float("inf"): 100.0}) == 0.05
