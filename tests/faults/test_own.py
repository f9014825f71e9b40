from dataclasses import replace

import pytest

from trueloop.config import read, resolve
from trueloop.errors import ConfigError
from trueloop.faults.base import Fault
from trueloop.faults.own import choose, own_bed
from trueloop.recipes import rlvr


def fault(id, bed="rlvr", mechanism="m"):
    return Fault(id=id, mechanism=mechanism, what="w", bed=bed)


def test_faults_of_other_runs_are_left_out_and_told(tmp_path):
    tree = read("arithmetic")
    resolved = resolve(rlvr.Config, tree, [])
    plain = resolved.config.model_copy(update={"warm_start": None})
    bed = own_bed(rlvr, _with(resolved, plain), tmp_path)
    fitting, left_out = choose([fault("a"), fault("b", bed="sft"), fault("c", mechanism="n")], bed, [])
    assert ([f.id for f in fitting], left_out) == (["a", "c"], ["1 faults are of the run 'sft'"])
    assert [f.id for f in choose([fault("a"), fault("c", mechanism="n")], bed, ["n"])[0]] == ["c"]
    brings = replace(fault("d"), overrides=("tasks.parts=[]",))
    assert choose([fault("a"), brings], bed, [])[1] == ["1 faults bring a task or model of their own"]
    with pytest.raises(ConfigError, match="--plant x"):
        choose([fault("a")], bed, ["x"])


def test_a_bed_of_ones_own_is_the_configuration(tmp_path):
    resolved = resolve(rlvr.Config, read("arithmetic"), ["optim.lr=3e-5"])
    plain = resolved.config.model_copy(update={"warm_start": None})
    bed = own_bed(rlvr, _with(resolved, plain), tmp_path)
    again = resolve(bed.recipe.Config, bed.source, bed.overrides)
    assert again.config == plain and again.config.optim.lr == 3e-5


def _with(resolved, config):
    from dataclasses import replace

    from trueloop.config import plain

    return replace(resolved, config=config, raw=plain(config))
