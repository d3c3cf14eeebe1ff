"""Losses over classes: against torch.nn.functional, autograd, identities and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812
from torch.testing import assert_close

from harness.components.losses import LOSSES

# those that `by_torch` and the values by hand below know
CLASS_LOSSES = ["cross_entropy", "nll", "mse", "brier", "bce", "hinge", "crammer_singer"]
SHIFT_INVARIANT = ["cross_entropy", "nll", "brier", "hinge", "crammer_singer"]
CASES = [
    (name, summed, smooth)
    for name in CLASS_LOSSES
    for summed in ((False, True) if LOSSES.get(name).per_class else (False,))
    for smooth in ((False, True) if LOSSES.get(name).smoothing else (False,))
]
cases = pytest.mark.parametrize(("name", "summed", "smooth"), CASES)


def value(name, z, y, a=None, summed=False):
    return LOSSES.get(name).value(z, y, a, summed)


def gradient(name, z, y, a=None, summed=False, out=None):
    out = torch.full_like(z, math.nan) if out is None else out
    got = LOSSES.get(name).gradient(z, y, a, summed, out=out)
    assert got is out
    return out


def batch(K=3, B=11, V=7, spread=2.0, dtype=torch.float64, seed=0):
    """Random logits, targets and one smoothing a run: 0, .1, .2, ..."""
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(K, B, V, generator=rng, dtype=torch.float64).mul_(spread).to(dtype)
    y = torch.randint(V, (K, B), generator=rng)
    return z, y, torch.arange(K, dtype=dtype) / 10


def by_torch(name, z, y, a, summed):
    """The same loss of one run (B, V), from torch.nn.functional; a is a number."""
    V = z.shape[-1]
    hot = F.one_hot(y, V).to(z.dtype) * (1 - a) + a / V
    if name in ("cross_entropy", "nll"):
        return F.cross_entropy(z, y, reduction="none", label_smoothing=a)
    if name == "hinge":
        return F.multi_margin_loss(z, y, reduction="none") * (V if summed else 1)
    if name == "crammer_singer":  # not in torch: from the definition, example by example
        rows = []
        for row, own in zip(z, y, strict=True):
            rival = torch.stack([row[v] for v in range(V) if v != own]).amax()  # shares ties
            rows.append((1 + rival - row[own]).relu())
        return torch.stack(rows)
    if name == "bce":
        each = F.binary_cross_entropy_with_logits(z, hot, reduction="none")
    else:
        each = F.mse_loss(z if name == "mse" else z.softmax(-1), hot, reduction="none")
    return each.sum(-1) if summed else each.mean(-1)


@cases
def test_value_equals_torch(name, summed, smooth):
    """Each run of a stack has the value torch.nn.functional gives it alone."""
    z, y, a = batch()
    got = value(name, z, y, a if smooth else None, summed)
    assert got.shape == (3, 11)
    for k in range(3):
        want = by_torch(name, z[k], y[k], float(a[k]) if smooth else 0.0, summed)
        assert_close(got[k], want, rtol=1e-12, atol=1e-14)  # float64; order of sums differs


@cases
@pytest.mark.parametrize("V", [2, 27])
def test_gradient_equals_autograd(name, summed, smooth, V):
    """The formula is the derivative of the value, logits between 'sure' and 'no idea'."""
    for spread in (0.1, 1.0, 10.0):
        z, y, a = batch(V=V, spread=spread)
        smoothing = a if smooth else None
        leaf = z.clone().requires_grad_()
        (want,) = torch.autograd.grad(value(name, leaf, y, smoothing, summed).sum(), leaf)
        assert_close(gradient(name, z, y, smoothing, summed), want, rtol=1e-11, atol=1e-14)


@cases
def test_gradient_equals_autograd_of_torch(name, summed, smooth):
    """Once more against torch's own losses, so that a wrong value cannot hide a wrong gradient."""
    z, y, a = batch(seed=1)
    got = gradient(name, z, y, a if smooth else None, summed)
    for k in range(3):
        leaf = z[k].clone().requires_grad_()
        whole = by_torch(name, leaf, y[k], float(a[k]) if smooth else 0.0, summed).sum()
        (want,) = torch.autograd.grad(whole, leaf)
        assert_close(got[k], want, rtol=1e-11, atol=1e-14)


@cases
def test_views_of_padded_buffers(name, summed, smooth):
    """The first 27 of 32 columns, in and out, give the numbers of plain tensors; the rest stays."""
    wide, y, a = batch(V=32, dtype=torch.float32)
    y, smoothing = y % 27, a if smooth else None
    z, room = wide[..., :27], torch.full_like(wide, 5.0)
    got = gradient(name, z, y, smoothing, summed, out=room[..., :27])
    flat = z.contiguous()  # kernels for strided rows may round otherwise
    want = gradient(name, flat, y, smoothing, summed)
    assert_close(got, want, rtol=1e-6, atol=1e-7)
    assert (room[..., 27:] == 5.0).all()
    padded, want = (value(name, part, y, smoothing, summed) for part in (z, flat))
    assert_close(padded, want, rtol=1e-6, atol=1e-7)


@cases
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("padded", [False, True])
def test_rows_do_not_know_their_place(name, summed, smooth, dtype, padded):
    """Bit for bit, a run or a row alone is what it is inside any stack.

    torch.sigmoid and F.softplus fail this: their last few elements take a scalar code path.
    """
    K, B, V = 19, 13, 27
    wide, y, a = batch(K, B, 32, spread=3.0, dtype=dtype)
    y, a = y % V, a / 2
    z = wide[..., :V] if padded else wide[..., :V].contiguous()

    def both(part, target, share):
        room = torch.empty(*part.shape[:2], 32, dtype=dtype)
        out = room[..., :V] if padded else torch.empty(part.shape, dtype=dtype)
        part = part if padded else part.clone()
        share = share if smooth else None
        return value(name, part, target, share, summed), gradient(
            name, part, target, share, summed, out
        )

    whole_value, whole_gradient = both(z, y, a)
    for k, size in [(0, 1), (4, 1), (18, 1), (2, 5), (12, 7)]:
        runs = slice(k, k + size)
        part_value, part_gradient = both(z[runs], y[runs], a[runs])
        assert torch.equal(part_value, whole_value[runs])
        assert torch.equal(part_gradient, whole_gradient[runs])
    for b in (0, 6, 12):
        row_value, row_gradient = both(z[:3, b : b + 1], y[:3, b : b + 1], a[:3])
        assert torch.equal(row_value, whole_value[:3, b : b + 1])
        assert torch.equal(row_gradient, whole_gradient[:3, b : b + 1])


@pytest.mark.parametrize("name", [n for n in CLASS_LOSSES if LOSSES.get(n).smoothing])
def test_no_smoothing_is_smoothing_of_zero(name):
    """None and a = 0 give the same bits, so a run may be stacked with smoothed ones."""
    z, y, _ = batch(dtype=torch.float32)
    zero = torch.zeros(3)
    assert torch.equal(value(name, z, y, None), value(name, z, y, zero))
    assert torch.equal(gradient(name, z, y, None), gradient(name, z, y, zero))


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_one_lost_run_leaves_the_others_alone(name):
    """A run of nan or inf changes no bit of its neighbours."""
    z, y, _ = batch(K=4, dtype=torch.float32)
    bad = z.clone()
    bad[1], bad[2] = math.nan, math.inf
    for k in (0, 3):
        assert torch.equal(value(name, bad, y)[k], value(name, z, y)[k])
        assert torch.equal(gradient(name, bad, y)[k], gradient(name, z, y)[k])
    assert not value(name, bad, y)[1].isfinite().any()  # and it shows


def equal_logits(name, V, summed):
    """Value at equal (zero) logits, by hand."""
    total = {"mse": 1.0, "brier": 1 - 1 / V, "bce": V * math.log(2), "hinge": V - 1.0}
    if name in total:
        return total[name] if summed else total[name] / V
    return 1.0 if name == "crammer_singer" else math.log(V)


@pytest.mark.parametrize(("name", "summed"), sorted({(n, s) for n, s, _ in CASES}))
def test_equal_logits(name, summed):
    """No opinion costs ln V, (V-1)/V, 1, ln 2 ...; a common level is no opinion to a softmax."""
    y = torch.tensor([[0, 7, 13, 26]])
    for level in (0.0, 2.5) if name in SHIFT_INVARIANT else (0.0,):
        z = torch.full((1, 4, 27), level, dtype=torch.float64)
        got = value(name, z, y, None, summed)
        want = torch.full_like(got, equal_logits(name, 27, summed))
        assert_close(got, want, rtol=1e-14, atol=0)  # a few float64 roundings


@pytest.mark.parametrize(
    ("name", "summed", "want"),
    [
        ("cross_entropy", False, 3.295836866004329),  # 3 ln 3, by hand
        ("nll", False, 3.295836866004329),
        ("mse", False, 0.037037037037037035),  # 1/27
        ("brier", True, 0.9629629629629629),  # 26/27
        ("bce", False, 0.6931471805599453),  # ln 2
        ("bce", True, 18.714973875118524),  # 27 ln 2
        ("hinge", False, 0.9629629629629629),  # 26/27
        ("crammer_singer", False, 1.0),
    ],
)
def test_equal_logits_in_figures(name, summed, want):
    z = torch.zeros(1, 1, 27, dtype=torch.float64)
    got = value(name, z, torch.tensor([[5]]), None, summed).item()
    assert got == pytest.approx(want, rel=1e-14)


@pytest.mark.parametrize("V", [2, 5, 27])
@pytest.mark.parametrize(("name", "summed"), sorted({(n, s) for n, s, _ in CASES}))
def test_matched_gradients_are_equal_at_equal_logits(name, summed, V):
    """Times its multiplier, each loss has cross-entropy's gradient, once rows are centred.

    By hand: at zero logits cross-entropy's row is 1/V - onehot. Checked for mean and sum.
    """
    y = torch.arange(V).repeat(2, 1)
    zeros = torch.zeros(2, V, V, dtype=torch.float64)
    got = gradient(name, zeros, y, None, summed) * LOSSES.get(name).multiplier(V, summed)
    want = 1 / V - F.one_hot(y, V).to(torch.float64)
    assert_close(got - got.mean(-1, keepdim=True), want, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "row"), [("bce", (0.5, -0.5)), ("mse", (0.0, -1.0))], ids=["bce", "mse"]
)
def test_what_matching_leaves_as_it_is(name, row):
    """The whole row of a loss at 27 zero logits, by hand: (other symbols, the target).

    The lengths and angles to cross-entropy's that docs/comparing.md gives.
    """
    V, zeros = 27, torch.zeros(1, 1, 27, dtype=torch.float64)
    y = torch.tensor([[5]])
    got = (gradient(name, zeros, y, None, False) * LOSSES.get(name).multiplier(V, False)).flatten()
    want = torch.full((V,), row[0], dtype=torch.float64)
    want[5] = row[1]
    assert_close(got, want, rtol=0, atol=1e-15)
    own = gradient("cross_entropy", zeros, y, None, False).flatten()
    times, angle = (got.norm() / own.norm()).item(), F.cosine_similarity(got, own, dim=0).item()
    assert (round(times, 2), round(angle, 2)) == {"bce": (2.65, 0.38), "mse": (1.02, 0.98)}[name]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@cases
def test_extreme_logits_stay_finite_and_right(name, summed, smooth, dtype):
    """Logits of +-1e4, for and against the target, against float64 by torch."""
    z = torch.full((2, 6, 5), -1e4, dtype=dtype)
    z[:, 0, 0] = 1e4  # sure and right
    z[:, 1, 1] = 1e4  # sure and wrong
    z[:, 2] = 1e4  # all equal, far from 0
    z[:, 3] = torch.tensor([1e4, 1e4 - 1, 1e4 - 2, 0, -1e4])
    z[:, 4] = torch.tensor([1e4 - 2, 1e4 - 1, 1e4, 0, -1e4])
    y = torch.zeros(2, 6, dtype=torch.int64)
    a = torch.tensor([0.1, 0.2], dtype=dtype) if smooth else None
    got, slope = value(name, z, y, a, summed), gradient(name, z, y, a, summed)
    assert got.isfinite().all() and slope.isfinite().all()
    for k in range(2):
        leaf = z[k].double().requires_grad_()
        want = by_torch(name, leaf, y[k], float(a[k]) if a is not None else 0.0, summed)
        (want_slope,) = torch.autograd.grad(want.sum(), leaf)
        # smoothing puts a/V on losses of 1e4: float32 then has 1e4 * 1e-7 to lose
        rtol, atol = (2e-6, 1e-5) if dtype == torch.float32 else (1e-12, 1e-11)
        assert_close(got[k].double(), want.detach(), rtol=rtol, atol=atol)
        assert_close(slope[k].double(), want_slope, rtol=1e-5, atol=1e-6)


def test_a_common_offset_costs_no_digits():
    """At 1e4 float32 steps by .001; the loss of nearly equal logits there must not."""
    z = 1e4 + torch.tensor([0.0, 1.0, 2.0]).repeat(1, 1, 1)
    y = torch.zeros(1, 1, dtype=torch.int64)
    want = math.log(1 + math.e + math.e**2)  # 2.40760596..., by hand
    for name in ("cross_entropy", "nll"):
        assert value(name, z, y).item() == pytest.approx(want, rel=3e-7)  # float32 roundings


def test_nll_and_cross_entropy_agree():
    """Two routes to one number, smoothed or not, and one gradient function for both."""
    z, y, a = batch(K=5, B=40, V=27, spread=4.0, dtype=torch.float32)
    for smoothing in (None, a):
        one, two = value("nll", z, y, smoothing), value("cross_entropy", z, y, smoothing)
        assert_close(one, two, rtol=2e-6, atol=1e-6)
    assert LOSSES.get("nll").gradient == LOSSES.get("cross_entropy").gradient


@pytest.mark.parametrize(
    ("z", "want"),
    [
        ([1.0, 0.0, 0.5], [-1.0, 0.0, 1.0]),  # class 1 exactly at the margin: outside
        ([0.0, 0.0, 0.0], [-2.0, 1.0, 1.0]),  # equal logits: every rival is inside
        ([3.0, 0.0, 1.0], [0.0, 0.0, 0.0]),  # all outside
        ([0.0, 5.0, -1.0], [-1.0, 1.0, 0.0]),
    ],
)
def test_hinge_at_its_kinks(z, want):
    """The subgradient torch.autograd takes for multi_margin_loss, seen here first by hand."""
    rows, y = torch.tensor([[z]], dtype=torch.float64), torch.zeros(1, 1, dtype=torch.int64)
    leaf = rows[0].clone().requires_grad_()
    (slope,) = torch.autograd.grad(F.multi_margin_loss(leaf, y[0]), leaf)
    assert_close(slope * 3, torch.tensor([want], dtype=torch.float64))
    assert_close(gradient("hinge", rows, y, None, False)[0], slope)
    assert_close(gradient("hinge", rows, y, None, True)[0], slope * 3)


@pytest.mark.parametrize(
    ("z", "want"),
    [
        ([0.0, 0.0, 0.0], [-1.0, 0.5, 0.5]),  # a tie is shared
        ([0.0, 2.0, 1.0], [-1.0, 1.0, 0.0]),
        ([1.0, 0.0, 0.0], [0.0, 0.0, 0.0]),  # exactly at the margin
        ([5.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
    ],
)
def test_crammer_singer_at_its_kinks(z, want):
    rows, y = torch.tensor([[z]], dtype=torch.float64), torch.zeros(1, 1, dtype=torch.int64)
    got = gradient("crammer_singer", rows, y)
    assert_close(got, torch.tensor([[want]], dtype=torch.float64))


def test_smoothing_raises_the_floor_only():
    """a = .1, V = 27: cross-entropy cannot fall below the target's entropy, .6306 nats."""
    t = torch.full((27,), 0.1 / 27, dtype=torch.float64)
    t[4] += 0.9
    floor = -(t * t.log()).sum()
    assert floor.item() == pytest.approx(0.6306, abs=5e-5)  # computed apart from this code
    y, a = torch.tensor([[4]]), torch.tensor([0.1], dtype=torch.float64)
    for name in ("cross_entropy", "nll"):
        assert value(name, t.log()[None, None], y, a).item() == pytest.approx(floor.item())
        flat = value(name, torch.zeros(1, 1, 27, dtype=torch.float64), y, a)
        assert flat.item() == pytest.approx(math.log(27))  # unchanged at equal logits


def test_integer_target_equals_onehot_target():
    """Codes and onehot rows say the same: to torch, and through gather and scatter here."""
    z, y, _ = batch()
    hot = F.one_hot(y, 7).to(z.dtype)
    assert_close(value("cross_entropy", z, y), -(hot * z.log_softmax(-1)).sum(-1))
    assert_close(value("mse", z, y, None, True), (z - hot).square().sum(-1))
    assert_close(value("brier", z, y, None, True), (z.softmax(-1) - hot).square().sum(-1))
    for k in range(3):
        assert_close(value("nll", z, y)[k], F.cross_entropy(z[k], hot[k], reduction="none"))


def test_float_zeros_as_target_are_no_class():
    """cross_entropy(ones(27), zeros(27)) is 0, not ln 27.

    torch reads a float target of the logits' shape as class probabilities: the loss is
    -sum_v t[v] log p[v], and with every t[v] = 0 nothing is summed. A class code, a onehot row or
    27 equal probabilities give ln 27.
    """
    ones = torch.ones(27)
    assert F.cross_entropy(ones, torch.zeros(27)).item() == 0.0
    onehot = F.one_hot(torch.tensor(0), 27).float()
    for target in (torch.tensor(0), onehot, ones / 27):
        assert F.cross_entropy(ones, target).item() == pytest.approx(math.log(27), rel=1e-6)
    ours = value("cross_entropy", ones[None, None], torch.zeros(1, 1, dtype=torch.int64))
    assert ours.item() == pytest.approx(math.log(27), rel=1e-6)


logit_rows = st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=9)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(row=logit_rows, shift=st.floats(-100, 100), own=st.integers(0, 8))
def test_softmax_and_margin_losses_ignore_a_shift(row, shift, own):
    """Adding a constant to every logit changes no value, and gradients sum to 0 over classes."""
    z = torch.tensor([[row]], dtype=torch.float64)
    y = torch.tensor([[own % len(row)]])
    for name in SHIFT_INVARIANT:
        assert_close(value(name, z + shift, y), value(name, z, y), rtol=1e-9, atol=1e-9)
        total = gradient(name, z, y).sum()
        assert abs(total.item()) < 1e-12


@settings(deadline=None, derandomize=True, max_examples=50)
@given(row=logit_rows, own=st.integers(0, 8), seed=st.integers(0, 99))
def test_renaming_the_classes_renames_the_gradient(row, own, seed):
    """Permute logits and target alike: equal value, permuted gradient."""
    V = len(row)
    order = torch.randperm(V, generator=torch.Generator().manual_seed(seed))
    z, y = torch.tensor([[row]], dtype=torch.float64), torch.tensor([[own % V]])
    moved_y = torch.argsort(order)[y]
    for name in CLASS_LOSSES:
        assert_close(value(name, z[..., order], moved_y), value(name, z, y))
        assert_close(gradient(name, z[..., order], moved_y), gradient(name, z, y)[..., order])


@settings(deadline=None, derandomize=True, max_examples=50)
@given(row=logit_rows, own=st.integers(0, 8))
def test_bounds(row, own):
    """Every loss is 0 or more; Brier's sum stays in [0, 2]; sums are V times means."""
    V = len(row)
    z, y = torch.tensor([[row]], dtype=torch.float64), torch.tensor([[own % V]])
    for name in CLASS_LOSSES:
        mean = value(name, z, y)
        assert mean.item() >= 0
        if LOSSES.get(name).per_class:
            assert_close(value(name, z, y, None, True), mean * V)
    assert value("brier", z, y, None, True).item() <= 2 + 1e-15
