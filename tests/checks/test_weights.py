from trueloop.checks.weights import finite


def test_weights_are_numbers():
    assert [finite(*x).status for x in (([], 4), (["a"], 4), ([], 0))] == ["pass", "fail", "unknown"]
