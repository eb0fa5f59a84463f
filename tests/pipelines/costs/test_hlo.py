import tensorflow as tf

from pipelines.costs import hlo


def compiled(function):
    return tf.function(function, jit_compile=True)


def test_products_are_counted_as_two_flops_a_multiplication():
    function = compiled(lambda a, b: tf.matmul(tf.matmul(a, b), b, transpose_b=True))
    data = tf.ones([64, 32]), tf.ones([32, 48])
    assert hlo.matmul_flops(function, *data) == (2 * 2 * 64 * 32 * 48,) * 2


def test_of_a_conditional_one_branch_counts():
    a, b = tf.ones([64, 32]), tf.ones([32, 48])

    def function(which, a, b):
        small, full = (lambda: tf.matmul(a[:, :8], b[:8])), (lambda: tf.matmul(a, b))
        return tf.cond(which, small, full)

    small, full = hlo.matmul_flops(compiled(function), tf.constant(True), a, b)
    assert (small, full) == (2 * 64 * 8 * 48, 2 * 64 * 32 * 48)


def test_products_of_stacks_are_left_out():
    function = compiled(lambda a: tf.matmul(a, a, transpose_b=True))
    assert hlo.matmul_flops(function, tf.ones([5, 16, 16])) == (0, 0)


def test_by_hand_a_step_is_three_products_of_every_kernel():
    assert hlo.mlp_flops((3, 4, 2), 10, True) == 2 * 10 * 3 * (12 + 8)
    assert hlo.mlp_flops((3, 4, 2), 10, False) == 2 * 10 * (3 * (12 + 8) - 12)
