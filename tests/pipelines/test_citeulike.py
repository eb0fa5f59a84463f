import numpy as np
from real_data import FOLDER, needs

from pipelines import citeulike


@needs(citeulike.NAME)
def test_real_data_held_out_by_users():
    split = citeulike.load_fold_in(FOLDER)
    assert split.train.shape[0] == 7_947 - 1_000
    assert split.train.shape[1] == split.n_items <= 25_975


@needs(citeulike.NAME)
def test_real_data_with_two_items_of_every_user_left_out():
    split = citeulike.load_leave_one_out(FOLDER)
    assert split.train.shape == (7_947, 25_975)
    assert split.train.nnz + len(split.validation.users) + len(split.test.users) == 134_860
    whole = split.train + split.left_out("validation") + split.left_out("test")
    assert whole.max() == 1
    for asked in (split.validation, split.test):
        rows = np.repeat(asked.users, 99)
        assert whole[rows, asked.items[:, 1:].ravel()].sum() == 0
