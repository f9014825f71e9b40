import json
from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from trueloop.errors import ModelError
from trueloop.models import files


def write(directory: Path, *names: str, **contents) -> Path:
    directory.mkdir(exist_ok=True)
    for name in names:
        (directory / name).write_text("{}")
    for name, value in contents.items():
        (directory / f"{name}.json").write_text(json.dumps(value))
    return directory


def test_a_missing_directory_is_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "snapshot_download", None)
    for where in (tmp_path / "none", str(tmp_path / "none"), "./none", Path("org/none")):
        with pytest.raises(ModelError, match="no such directory; expected a model directory or a Hub id"):
            files.locate(where)


def test_a_hub_id_that_cannot_be_had_is_one_clear_error(monkeypatch):
    def offline(*_args, **_kwargs):
        raise LocalEntryNotFoundError("no network\nand more lines")

    monkeypatch.setattr(files, "snapshot_download", offline)
    with pytest.raises(ModelError, match=r"org/none: no such directory here.*\(no network\)"):
        files.locate("org/none")


def test_a_hub_id_takes_the_bin_files_only_where_there_is_nothing_better(tmp_path, monkeypatch):
    asked = []

    def fetch(_hub_id, allow_patterns):
        asked.append([p for p in allow_patterns if p in ("*.safetensors", "*.bin")])
        return str(write(tmp_path, "config.json", *(["pytorch_model.bin"] if "*.bin" in allow_patterns else [])))

    monkeypatch.setattr(files, "snapshot_download", fetch)
    assert files.locate("org/old") == tmp_path
    assert files.locate("org/old") == tmp_path
    assert asked == [["*.safetensors"], ["*.bin"], ["*.safetensors"]]


def test_require_model_names_what_is_missing(tmp_path):
    with pytest.raises(ModelError, match=r"no config.json.*the directory is empty"):
        files.require_model(tmp_path)
    write(tmp_path, "config.json", "tokenizer.json")
    with pytest.raises(ModelError, match=r"but no weights.*found config.json, tokenizer.json"):
        files.require_model(tmp_path)
    write(tmp_path, "model.safetensors")
    files.require_model(tmp_path)


def test_require_model_names_a_missing_shard(tmp_path):
    shards = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    write(tmp_path, "config.json", "model-00001-of-00002.safetensors", **{"model.safetensors.index": shards})
    with pytest.raises(ModelError, match=r"1 of the 2 weight shards .* \['model-00002-of-00002.safetensors'\]"):
        files.require_model(tmp_path)
    write(tmp_path, "model-00002-of-00002.safetensors")
    files.require_model(tmp_path)


def test_unreadable_json_is_one_clear_error(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model')
    with pytest.raises(ModelError, match="not readable as JSON"):
        files.adapter_base(tmp_path)
    (tmp_path / "adapter_config.json").write_text("[]")
    with pytest.raises(ModelError, match="expected a JSON object, found list"):
        files.adapter_base(tmp_path)


def test_a_base_inside_the_adapter_comes_first(tmp_path):
    write(tmp_path, adapter_config={"base_model_name_or_path": "base"})
    write(tmp_path / "base")
    assert files.adapter_base(tmp_path) == str(tmp_path / "base")
