import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from isaachrl.maths import rotations as R

S = math.sqrt(0.5)
QUARTER_X, QUARTER_Y, QUARTER_Z = [S, S, 0, 0], [S, 0, S, 0], [S, 0, 0, S]
X, Y, Z = [1, 0, 0], [0, 1, 0], [0, 0, 1]

numbers = st.floats(-1, 1)


def d(*values):
    return torch.tensor(values, dtype=torch.float64)


@st.composite
def quaternions(draw):
    q = d(*(draw(numbers) for _ in range(4)))
    assume(float(q.norm()) > 0.1)
    return R.normalize(q)


vectors = st.tuples(numbers, numbers, numbers).map(lambda v: d(*v))
fast = settings(max_examples=60, deadline=None)


def close(a, b, tolerance=1e-9):
    torch.testing.assert_close(a, b.to(a.dtype), rtol=0, atol=tolerance)


def same_rotation(a, b, tolerance=1e-9):
    close((a * b).sum(-1).abs(), torch.ones_like(a[..., 0]), tolerance)


@pytest.mark.parametrize(
    ("q", "v", "expected"),
    [
        (QUARTER_X, Y, Z),
        (QUARTER_X, Z, [0, -1, 0]),
        (QUARTER_Y, Z, X),
        (QUARTER_Y, X, [0, 0, -1]),
        (QUARTER_Z, X, Y),
        (QUARTER_Z, [1, 2, 3], [-2, 1, 3]),
        ([0, 0, 0, 1], [1, 2, 3], [-1, -2, 3]),
        ([0.5, 0.5, 0.5, 0.5], [1, 2, 3], [3, 1, 2]),  # a third of a turn about the diagonal permutes the axes
    ],
)
def test_rotating_by_hand(q, v, expected):
    close(R.rotate(d(*q), d(*v)), d(*expected))
    close(R.rotate_inverse(d(*q), d(*expected)), d(*v))
    close(R.to_matrix(d(*q)) @ d(*v), d(*expected))


def test_products_by_hand():
    i, j, k = d(0, 1, 0, 0), d(0, 0, 1, 0), d(0, 0, 0, 1)
    close(R.multiply(i, j), k)
    close(R.multiply(j, i), -k)
    close(R.multiply(i, i), d(-1, 0, 0, 0))
    close(R.multiply(d(1, 2, 3, 4), d(5, 6, 7, 8)), d(-60, 12, 30, 24))
    # first about z, then about x
    close(R.rotate(R.multiply(d(*QUARTER_X), d(*QUARTER_Z)), d(*X)), d(*Z))


@fast
@given(quaternions(), quaternions(), vectors)
def test_a_product_applies_its_right_factor_first(a, b, v):
    close(R.rotate(R.multiply(a, b), v), R.rotate(a, R.rotate(b, v)))
    close(R.rotate_inverse(a, R.rotate(a, v)), v)
    close(R.multiply(a, R.conjugate(a)), d(1, 0, 0, 0))


@fast
@given(quaternions())
def test_the_matrix_is_a_rotation_made_of_the_rotated_axes(q):
    m = R.to_matrix(q)
    close(m @ m.mT, torch.eye(3))
    close(torch.linalg.det(m), torch.ones(()))
    for column, axis in enumerate((X, Y, Z)):
        close(m[:, column], R.rotate(q, d(*axis)))
    close(R.axis_x(q), m[:, 0])
    close(R.axis_z(q), m[:, 2])
    close(R.tangent_normal(q), torch.cat((m[:, 0], m[:, 2])))
    close(R.tangent_normal(-q), R.tangent_normal(q))  # q and -q are one rotation


def test_axis_and_angle_by_hand():
    close(R.from_axis_angle(d(*Z), d(math.pi / 2)[0]), d(*QUARTER_Z))
    close(R.from_yaw(d(math.pi)), d([0, 0, 0, 1]))
    close(R.from_rotvec(d(math.pi / 2, 0, 0)), d(*QUARTER_X))
    close(R.to_rotvec(d(*QUARTER_Y)), d(0, math.pi / 2, 0))
    # three quarters of a turn: a quarter backwards is shorter
    close(R.to_rotvec(R.from_rotvec(d(0, 0, 1.5 * math.pi))), d(0, 0, -math.pi / 2))


@fast
@given(vectors, st.sampled_from([1e-12, 1e-6, 1e-4, 1e-3, 0.1, 1.0, 1.8]))
def test_the_logarithm_undoes_the_exponential(v, size):
    v = v * size  # at most 1.8 sqrt(3), less than pi
    close(R.to_rotvec(R.from_rotvec(v)), v, 1e-9)
    close(R.to_rotvec(-R.from_rotvec(v)), v, 1e-9)
    close(R.from_rotvec(v).norm(), torch.ones(()))


@pytest.mark.parametrize("angle", [0.0, 1e-7, 9.9e-5, 1.01e-4, 3.1415])
def test_the_exponential_is_right_in_float32_on_both_sides_of_its_switch(angle):
    q = R.from_rotvec(torch.tensor([0.0, angle, 0.0]))
    expected = torch.tensor([math.cos(angle / 2), 0.0, math.sin(angle / 2), 0.0])
    torch.testing.assert_close(q, expected, rtol=1e-6, atol=1e-12 if angle < 1 else 1e-7)
    torch.testing.assert_close(R.to_rotvec(q)[1], torch.tensor(angle), rtol=1e-6, atol=1e-12)


def test_the_exponential_has_its_gradient_at_the_identity():
    v = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    R.from_rotvec(v)[1:].sum().backward()
    assert v.grad is not None
    close(v.grad, d(0.5, 0.5, 0.5))


def test_interpolation_by_hand():
    zero, quarter = d(1, 0, 0, 0), d(*QUARTER_Z)
    for blend, angle in ((0.0, 0.0), (1 / 3, math.pi / 6), (0.5, math.pi / 4), (1.0, math.pi / 2)):
        close(R.slerp(zero, quarter, torch.tensor(blend, dtype=torch.float64)), R.from_yaw(d(angle))[0])
        # the other sign of the same rotation: the way stays the short one
        between = R.slerp(zero, -quarter, torch.tensor(blend, dtype=torch.float64))
        same_rotation(between, R.from_yaw(d(angle))[0])


@fast
@given(quaternions(), vectors, st.floats(0, 1))
def test_interpolation_turns_at_an_even_rate(a, v, t):
    turn = R.from_rotvec(v)
    blend = torch.tensor(t, dtype=torch.float64)
    between = R.slerp(a, R.multiply(turn, a), blend)
    close(R.to_rotvec(R.multiply(between, R.conjugate(a))), t * v, 1e-6)


def test_nearly_equal_rotations_are_interpolated_without_nan():
    q = R.normalize(torch.tensor([0.3, 0.1, -0.7, 0.2]))
    torch.testing.assert_close(R.slerp(q, q, torch.tensor(0.3)), q)
    torch.testing.assert_close(R.slerp(q, -q, torch.tensor(1.0)), q)


@fast
@given(st.floats(-3.1, 3.1), st.floats(-1.3, 1.3), st.floats(-3.1, 3.1))
def test_the_heading_is_the_yaw_whatever_pitch_and_roll(yaw, pitch, roll):
    angles = zip((d(*Z), d(*Y), d(*X)), (yaw, pitch, roll), strict=True)
    z, y, x = (R.from_axis_angle(axis, torch.tensor(angle, dtype=torch.float64)) for axis, angle in angles)
    q = R.multiply(z, R.multiply(y, x))
    close(R.heading(q), d(yaw)[0], 1e-7)
    to_heading = R.world_to_heading(q)
    close(to_heading, R.to_matrix(R.from_yaw(d(-yaw))[0]), 1e-7)
    forward = to_heading @ R.axis_x(q)
    close(forward, d(math.cos(pitch), 0.0, -math.sin(pitch)), 1e-7)


def turned(yaw, pitch, roll):
    """By roll about x, then pitch about y, then yaw about z."""
    z, y, x = (R.from_axis_angle(d(*axis), d(angle)[0]) for axis, angle in ((Z, yaw), (Y, pitch), (X, roll)))
    return R.multiply(z, R.multiply(y, x))


@pytest.mark.parametrize(("pitch", "sign"), [(math.pi / 2, -1), (-math.pi / 2, 1)])
@pytest.mark.parametrize("roll", [0.0, 0.8, -2.0])
def test_a_body_on_its_face_or_back_has_a_heading(pitch, sign, roll):
    # x has no direction on the floor. Pitched by 90 degrees, a roll about x is a turn about the vertical, downwards
    q = turned(0.3, pitch, roll)
    close(R.heading(q), d(0.3 + sign * roll)[0], 1e-7)
    close(R.world_to_heading(q), R.to_matrix(R.from_yaw(d(-0.3 - sign * roll))[0]), 1e-7)


def test_where_x_is_steep_the_other_horizontal_axis_enters_by_its_share():
    # sin(pitch) = 0.9994 is 0.4 of the way from 0.999 to 1; rolled by 90 degrees y is (-0.9994, 0, 0.0346), of which
    # (y_y, -y_x) = (0, 0.9994): the heading is that of (0.0346, 0) + 0.4 * (0, 0.9994)
    q = turned(0.0, -math.asin(0.9994), math.pi / 2)
    close(R.heading(q), d(math.atan2(0.4 * 0.9994, math.sqrt(1 - 0.9994**2)))[0], 1e-7)


def test_the_heading_of_a_lying_body_does_not_jump():
    around = torch.linspace(0.0, 2 * math.pi, 24, dtype=torch.float64)
    axes = torch.stack((around.cos(), around.sin(), torch.zeros_like(around)), dim=-1)
    for back in (-math.pi / 2, math.pi / 2):
        tipped = R.multiply(
            R.from_axis_angle(axes, torch.full_like(around, 1e-3)), turned(0.7, back, 0.0).expand(24, 4)
        )
        assert (R.heading(tipped) - 0.7).abs().max() < 2e-3


def test_a_body_that_is_not_steep_faces_along_its_x_axis():
    q = R.normalize(torch.randn(200, 4, generator=torch.Generator().manual_seed(0)))
    x, y, up = R.axis_x(q).T.contiguous()
    flat = up.abs() < 0.999
    assert flat.sum() > 150
    torch.testing.assert_close(R.heading(q)[flat], torch.atan2(y, x)[flat], rtol=0, atol=1e-6)


def test_row_vectors_go_into_the_heading_frame():
    q = torch.stack((d(*QUARTER_Z), d(1, 0, 0, 0)))
    v_w = d(0, 2, 5).expand(2, 3, 3)
    v_h = v_w @ R.world_to_heading(q).mT
    close(v_h, torch.stack((d(2, 0, 5).expand(3, 3), d(0, 2, 5).expand(3, 3))))


def test_a_steady_turn_has_its_angular_velocity_at_every_frame():
    omega = d(0.3, -0.8, 0.5)
    time = torch.arange(7, dtype=torch.float64).unsqueeze(-1) * 0.1
    path = R.multiply(R.from_rotvec(time * omega), R.normalize(d(1, 2, 3, 4)).expand(7, 4))
    path = path * torch.tensor([1, -1, 1, 1, -1, -1, 1]).unsqueeze(-1)  # signs mean nothing
    close(R.angular_velocity(path, 0.1), omega.expand(7, 3))
    several = path.unsqueeze(1).expand(7, 2, 4)
    close(R.angular_velocity(several, 0.1), omega.expand(7, 2, 3))


def test_normalizing_zero_gives_numbers():
    assert torch.equal(R.normalize(torch.zeros(2, 4)), torch.zeros(2, 4))
    close(R.normalize(d(0, 3, 0, 4)), d(0, 0.6, 0, 0.8))


def test_cosine_and_sine_of_the_heading_by_hand():
    third = [0.5, 0.5, 0.5, 0.5]  # turns x to y
    cosine, sine = R.heading_cos_sin(d([1, 0, 0, 0], QUARTER_Z, QUARTER_X, third))
    close(cosine, d(1, 0, 1, 0))
    close(sine, d(0, 1, 0, 1))
    close(torch.stack(R.heading_cos_sin(d(QUARTER_Y))), d([1], [0]))  # looks straight down


def test_the_heading_matrix_is_that_of_the_turned_axes():
    q = R.multiply(R.from_yaw(d(0.3, -2.0)), d(QUARTER_X))
    assert torch.equal(R.to_heading_of(*R.axes_xz(q)), R.world_to_heading(q))
    axes = (0.6, 0.8, 0, 0, 0, 1)  # upright, turned by the angle whose cosine is 0.6
    close(R.to_heading_of(*d(*axes)), d([0.6, 0.8, 0], [-0.8, 0.6, 0], [0, 0, 1]))
