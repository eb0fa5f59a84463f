import pathlib
import subprocess
import sys
import warnings

import keras
import pytest
from hypothesis import strategies as st
from mutations import mutate, mutations
from properties import examples, hold

from pipelines import checkpoints
from pipelines.run_state import RunState


def make(folder):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model, RunState(folder, model)


def saved(folder, times=3):
    """Saves several times, with a weight that says which time it was."""
    model, state = make(folder)
    for time in range(1, times + 1):
        model.layers[0].bias.assign([time] * 3)
        state.rows.append({"time": time})
        state.save({"time": time})


def files(folder, number):
    return sorted((folder / "checkpoint").glob(f"ckpt-{number}.*"))


def restored(folder):
    model, state = make(folder)
    return state.restore(), model.layers[0].bias.numpy().tolist(), state.rows


def test_the_last_checkpoint_is_taken_up_and_the_one_before_it_kept(tmp_path):
    saved(tmp_path)
    assert restored(tmp_path) == ({"time": 3}, [3.0] * 3, [{"time": time} for time in (1, 2, 3)])
    found = checkpoints.newest_first(tmp_path / "checkpoint")
    assert [path.name for path in found] == ["ckpt-3", "ckpt-2"]


@pytest.mark.parametrize("kind", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_one_that_was_cut_short_is_left_out_with_a_warning(tmp_path, kind, share):
    saved(tmp_path)
    (path,) = (path for path in files(tmp_path, 3) if path.name.endswith(kind))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.warns(UserWarning, match="ckpt-3 is damaged and left out"):
        assert restored(tmp_path) == ({"time": 2}, [2.0] * 3, [{"time": 1}, {"time": 2}])


def test_one_of_another_model_is_refused_in_one_line(tmp_path):
    saved(tmp_path)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    with pytest.raises(ValueError, match=r"ckpt-3 is another model's; use another folder.*\.$"):
        RunState(tmp_path, model).restore()


def test_after_it_the_run_goes_on_and_saves(tmp_path):
    saved(tmp_path)
    files(tmp_path, 3)[0].write_bytes(b"")
    model, state = make(tmp_path)
    with pytest.warns(UserWarning, match="damaged"):
        state.restore()
    model.layers[0].bias.assign([9.0] * 3)
    state.save({"time": 9})
    assert restored(tmp_path)[:2] == ({"time": 9}, [9.0] * 3)


@examples(40, 1000)
def test_a_mutated_checkpoint_is_found(examples, tmp_path):
    saved(tmp_path)
    good = {path: path.read_bytes() for path in files(tmp_path, 3)}

    def found_or_the_same(place, changes):
        path = sorted(good)[place % len(good)]
        for one, content in good.items():
            one.write_bytes(mutate(content, changes) if one == path else content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            progress, values, _ = restored(tmp_path)
        assert (progress["time"], values) in [(3, [3.0] * 3), (2, [2.0] * 3)]

    hold(found_or_the_same, examples, place=st.integers(0, 99), changes=mutations)


def test_where_no_checkpoint_is_whole_the_run_begins_again(tmp_path):
    saved(tmp_path)
    for number in (2, 3):
        for path in files(tmp_path, number):
            path.write_bytes(path.read_bytes()[:10])
    with pytest.warns(UserWarning, match="damaged"):
        assert restored(tmp_path) == (None, [0.0] * 3, [])


def test_a_list_of_checkpoints_that_is_lost_or_damaged_is_no_matter(tmp_path):
    saved(tmp_path)
    (tmp_path / "checkpoint" / "checkpoint").write_bytes(b"\x00rubbish")
    assert restored(tmp_path)[0] == {"time": 3}
    (tmp_path / "checkpoint" / "checkpoint").unlink()
    assert restored(tmp_path)[0] == {"time": 3}


FILL = """
import pathlib, resource, signal, sys
sys.path[:0] = sys.argv[2:]
from test_run_state import make
model, state = make(pathlib.Path(sys.argv[1]))
state.save({"time": 1})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # as where the disk is full
try:
    state.save({"time": 2})
except OSError as error:
    print(error)
"""


def test_a_disk_that_is_full_is_said_so_and_the_state_before_it_stays(tmp_path):
    here = pathlib.Path(__file__).parent
    rooms = (here, here.parent / "helpers", here.parents[1])
    command = [sys.executable, "-c", FILL, str(tmp_path), *map(str, rooms)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-2000:]
    assert "could not be written" in process.stdout
    assert "make room" in process.stdout
    assert "{{" not in process.stdout
    assert len(process.stdout.splitlines()) == 1
    assert restored(tmp_path)[0] == {"time": 1}
