import json
from dataclasses import replace

import pytest

from base.errors import InputError
from train.pipeline.steps import TrainingStep, sole_writer


@pytest.fixture
def step(tmp_path):
    """A step, and the list `done`, to which each run of the step adds an entry."""
    done = []

    def build(directory, unfinished):
        done.append(unfinished)
        (directory / "result").write_text(str(len(done)))
        unfinished.mkdir(exist_ok=True)
        (unfinished / "checkpoint").touch()
        return {"count": len(done)}

    step = TrainingStep("towers", tmp_path / "steps" / "towers", {"seed": 0, "data": "abc"}, build)
    return step, done


def test_a_step_is_done_once(step, tmp_path):
    step, done = step
    assert not step.done
    step.run()
    step.run()
    assert len(done) == 1
    assert step.done
    assert step.report["count"] == 1
    step.require()
    assert (step.directory / "result").read_text() == "1"
    # The checkpoints of the finished step are deleted: only the step's directory is left.
    assert [path.name for path in (tmp_path / "steps").iterdir()] == ["towers"]
    assert json.loads((step.directory / "step.json").read_text())["inputs"] == step.inputs


def test_other_inputs_make_it_stale(step):
    step, done = step
    step.run()
    other = replace(step, inputs={"seed": 1, "data": "abc"})
    assert not other.done
    with pytest.raises(InputError, match="towers was done with other data or options: run"):
        other.require()
    other.run()
    assert len(done) == 2
    assert other.done
    assert not step.done
    assert done[0] != done[1]  # the two runs do not share checkpoints


def test_what_a_run_with_other_options_left_unfinished_goes_too(step):
    step, _ = step
    other = replace(step, inputs={"seed": 1})
    other.unfinished.mkdir(parents=True)
    step.run()
    assert not other.unfinished.exists()


def test_one_run_at_a_time_writes_to_a_directory(tmp_path):
    out = tmp_path / "out"
    taken = pytest.raises(InputError, match=f"another run is writing to {out}; wait")
    with sole_writer(out), taken, sole_writer(out):
        pass
    with sole_writer(out):
        pass


def test_a_step_that_is_not_done_is_asked_for_by_its_command(step):
    step, _ = step
    with pytest.raises(InputError, match="towers is not done: run `shortlist train towers`"):
        step.require()


def test_a_step_that_fails_keeps_the_old_result_and_what_it_can_resume_from(step):
    step, _ = step
    step.run()

    def fails(directory, unfinished):
        (directory / "half").touch()
        unfinished.mkdir()
        raise InputError("no")

    other = replace(step, inputs={"seed": 1}, build=fails)
    with pytest.raises(InputError, match="no"):
        other.run()
    assert step.done
    assert {path.name for path in step.directory.parent.iterdir()} == {
        "towers",
        other.unfinished.name,
    }


def test_a_damaged_step_is_refused_by_name(step):
    step, _ = step
    step.run()
    path = step.directory / "step.json"
    path.write_text(path.read_text()[:-10])
    with pytest.raises(InputError, match=r"step\.json cannot be read .*; delete .*towers"):
        step.require()
