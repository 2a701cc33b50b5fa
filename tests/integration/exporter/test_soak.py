"""Several processes record while everything goes wrong, some are killed, and nothing is missing."""

import pytest

from tests.soak.run import Soak


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_doubled_changed_or_out_of_order(tmp_path, seed):
    found = Soak(tmp_path, spans=4000, processes=2, kills=2, seed=seed, pause=0.002).run()

    assert found.clean, found.as_text()
    assert found.kills == 2
    assert found.recorded > 1000
