import json

from doctor_toys import healthy_run
from trueloop.cli import main


def test_a_healthy_run_is_0_and_its_json_says_so(tmp_path, capsys):
    run = healthy_run(tmp_path / "run")
    assert main(["doctor", str(run)]) == 0
    assert "healthy" in capsys.readouterr().out
    assert main(["doctor", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["healthy"]


def test_a_declared_diagnosis_is_a_pass(tmp_path, capsys):
    run = healthy_run(tmp_path / "run")
    info = json.loads((run / "run.json").read_text())
    info["config"]["expects"] = "problems-too-hard"
    (run / "run.json").write_text(json.dumps(info))
    assert main(["doctor", str(run)]) == 1
    assert "fail: declared problems-too-hard, found healthy" in capsys.readouterr().out


def test_what_is_no_record_is_said(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a"}\n')
    assert main(["doctor", str(path)]) == 1
    assert "line 1: no completion; found prompt" in capsys.readouterr().err


def test_two_runs_are_held_side_by_side(tmp_path, capsys):
    run, other = healthy_run(tmp_path / "run"), healthy_run(tmp_path / "other")
    assert main(["doctor", str(run), "--beside", str(other), "--varies", "optim.lr"]) == 1
    assert "arms-differ-in-more" in capsys.readouterr().out
    assert main(["doctor", str(run), "--varies", "optim.lr"]) == 2
    assert "add --beside RUN" in capsys.readouterr().err
