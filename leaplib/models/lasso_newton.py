"""Newton's method on the signs of a Lasso path: the solver behind `leaplib.models.lasso_path`.

**Problem.** With the Gram matrix G (p x p) and c = Xc'yc / n, both centred, minimise over b

    b'Gb / 2 - c'b + alpha ||b||_1

for a falling sequence of penalties alpha.

**Method.** If the signs s of the solution are known, the rest is a linear system: on the features S with
a sign, G_SS b_S = c_S - alpha s_S. So guess the signs, solve, and correct the guess: a coefficient that
came out with the wrong sign leaves, a feature whose gradient g = c - Gb exceeds alpha enters with the
sign of the gradient. When nothing changes any more the solution is exact. This is the primal-dual active
set method, which is a semismooth Newton method (Hintermueller, Ito, Kunisch 2002); four or five steps a
penalty are usual when the guess comes from the penalty before:

- *Guess.* Along a path the gradients over alpha are nearly straight in log(alpha), and the coefficients
  in alpha; both are extended from the last two penalties.
- *Small systems.* Where most features have a sign, the system of the others, Z, is smaller: with
  K = 1 / G, b = K (c - alpha s - mu), where mu, the gradient on Z, is such that b is 0 there:
  K_ZZ mu_Z = (K (c - alpha s))_Z. No system is larger than p / 2.

**Two forms of one method.** On a CPU each path is followed alone, by compiled code whose data stay in the
core's cache; on a GPU all paths of a batch are followed side by side.

**Safety net.** The method need not converge where there are fewer samples than features, or where features
repeat. What it leaves, homotopy (Osborne, Presnell, Turlach 2000; LARS) takes from the last solution to the
next one event at a time; a feature that depends linearly on those with a sign stays out.

References
----------
Hintermueller, Ito, Kunisch (2002), The primal-dual active set strategy as a semismooth Newton method,
SIAM J. Optim. 13(3).
Osborne, Presnell, Turlach (2000), A new approach to variable selection in least squares problems,
IMA J. Numer. Anal. 20(3).
Massias, Gramfort, Salmon (2018), Celer: a fast solver for the Lasso with dual extrapolation, ICML.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit

STEPS = 15
"""Bound on Newton's steps at one penalty."""

INDEPENDENT = 1e-10
"""Features count as dependent when less than this share of one's variance is its own."""

EVENTS = 5000
"""Bound on the events between two penalties; tens are usual."""

SIDE_BY_SIDE = 2048
"""Systems solved in one batch on a GPU."""

_math = {"reassoc", "contract", "nsz"}  # sums in any order; NaN and infinity keep their meaning


@dataclass(frozen=True)
class Problems:
    """Lasso paths of l perturbations, in float64.

    Attributes
    ----------
    gram : torch.Tensor of shape (l or 1, p, p)
        Of each, or the one that all share.
    inverse : torch.Tensor of shape (l or 1, p, p)
        Of these; anything where there is none.
    invertible : torch.Tensor of shape (l or 1,), bool
    c : torch.Tensor of shape (l, p)
    null : torch.Tensor of shape (l,)
        Null loss, ||yc||^2 / n.
    alphas : torch.Tensor of shape (l, A)
        Falling along the second axis.
    """

    gram: torch.Tensor
    inverse: torch.Tensor
    invertible: torch.Tensor
    c: torch.Tensor
    null: torch.Tensor
    alphas: torch.Tensor


@dataclass(frozen=True)
class Solutions:
    """Solutions of l perturbations at A penalties.

    Attributes
    ----------
    coef : torch.Tensor of shape (l, A, p), float64
    gap : torch.Tensor of shape (l, A), float64
        Duality gap over the null loss ``null / 2``.
    """

    coef: torch.Tensor
    gap: torch.Tensor


def solve_paths(problems: Problems) -> Solutions:
    """Solve the problems, exactly up to rounding."""
    shape = problems.alphas.shape
    coef, gap = problems.c.new_zeros(*shape, problems.c.shape[1]), problems.c.new_zeros(shape)
    done = torch.zeros(shape, dtype=torch.bool, device=problems.c.device)
    follow = _follow_batch if problems.c.is_cuda else _follow_each
    follow(problems, coef, gap, done)
    return Solutions(coef, gap)


# One path at a time, compiled -------------------------------------------------------------------


def _follow_each(problems: Problems, coef: torch.Tensor, gap: torch.Tensor, done: torch.Tensor) -> None:
    """Follow each path alone and fill in the results."""
    c, null, alphas = (a.numpy() for a in (problems.c, problems.null, problems.alphas))
    gram, inverse, invertible = (a.numpy() for a in (problems.gram, problems.inverse, problems.invertible))
    results = [a.numpy() for a in (coef, gap, done)]
    for row in range(len(c)):
        at = row if len(gram) > 1 else 0
        mine = (a[row] for a in results)
        _follow(gram[at], inverse[at], invertible[at], c[row], null[row], alphas[row], *mine)


@njit(nogil=True, cache=True)
def _follow(G, K, invertible, c, null, alphas, coef, gap, done):
    """Follow a path."""
    p = len(c)
    work = np.empty((p, p + 1)), np.empty(2 * p, np.int64), np.empty(p), np.zeros(p), np.zeros(p)
    b, before, gradient, sign = np.zeros(p), np.zeros(p), np.zeros(p), np.zeros(p)
    start = np.zeros(p)
    if invertible:
        _subtract_rows(K, np.arange(p), p, -c, start)  # K c
    last = max(alphas[0], np.abs(c).max())  # there the solution is 0
    steep, rise = c / alphas[0], np.zeros(p)
    fall = alphas[-1] / alphas[-2] if len(alphas) > 1 else 0.0
    for level in range(len(alphas)):
        _extend(b, before, fall, steep, rise, sign)
        x = coef[level]
        done[level] = _newton(G, K, invertible, c, start, alphas[level], sign, x, gradient, work)
        if not done[level]:
            x[:] = b
            done[level] = _homotopy(G, c, last, alphas[level], x, gradient, work)
            if not done[level]:  # the gap shall be that of what is returned
                gradient[:] = c
                _subtract_rows(G, np.arange(p), p, x, gradient)
        gap[level] = _gap(c, null, alphas[level], x, gradient)
        if done[level]:
            before[:], b[:], last = b, x, alphas[level]
            ahead = gradient / alphas[level]
            rise[:] = ahead / 3 if level == 0 else ahead - steep
            steep[:] = ahead


@njit(nogil=True, cache=True)
def _extend(b, before, fall, steep, rise, sign):
    """Guess the signs at the next penalty: extend coefficients and gradients."""
    for j in range(len(b)):
        slope = steep[j] + rise[j]
        if b[j] == 0:
            sign[j] = np.sign(slope) if abs(slope) > 1 else 0.0
        else:
            sign[j] = np.sign(b[j]) if (b[j] + fall * (b[j] - before[j])) * b[j] > 0 else 0.0


@njit(nogil=True, cache=True)
def _newton(G, K, invertible, c, start, alpha, sign, b, g, work):
    """Correct the signs until none changes; False where that does not happen or a system is singular."""
    for _ in range(STEPS):
        if not _stationary(G, K, invertible, c, start, alpha, sign, b, g, work):
            return False
        changes = 0
        for j in range(len(b)):
            if sign[j] != 0:
                if not b[j] * sign[j] > 0:
                    sign[j] = 0.0
                    changes += 1
            elif abs(g[j]) > alpha * (1 + 1e-9):
                sign[j] = np.sign(g[j])
                changes += 1
        if changes == 0:
            return True
    return False


@njit(nogil=True, cache=True)
def _homotopy(G, c, alpha, end, b, g, work):
    """Take the solution b at ``alpha`` to that at ``end``, one feature at a time, and write its gradient to g.

    Between two events b = x - alpha y on the features with a sign, and g = gx + alpha gy. False where the events
    do not come to an end.
    """
    A, index = work[:2]
    p = len(c)
    sign, barred = np.sign(b), np.zeros(p)
    alpha *= 1 + 1e-9  # so that what happens at the start counts
    gx, gy, x, y = np.empty(p), np.empty(p), np.empty(p), np.empty(p)
    newest = -1
    for _ in range(EVENTS):
        n = 0
        for j in range(p):
            if sign[j] != 0 and j != newest:
                index[n] = j
                n += 1
        if newest >= 0:  # stands last, so that a singular factor is its own fault
            index[n] = newest
            n += 1
        _gather(G, index, n, A)
        if not _factor(A, n):
            if newest < 0:
                return False
            sign[newest], barred[newest], newest = 0.0, 1.0, -1  # depends on the others: it adds nothing
            continue
        for i in range(n):
            x[i], y[i] = c[index[i]], sign[index[i]]
        _solve(A, n, x)
        _solve(A, n, y)
        gx[:], gy[:] = c, 0.0
        _subtract_rows(G, index, n, x, gx)
        _subtract_rows(G, index, n, -y[:n], gy)
        alpha, newest, dropped = _next_event(alpha, end, sign, barred, index, n, x, y, gx, gy)
        if dropped >= 0:
            sign[dropped] = 0.0
            barred[:] = 0.0
        elif newest >= 0:
            sign[newest] = np.sign(gx[newest] + alpha * gy[newest])
        else:
            b[:], g[:] = 0.0, gx + end * gy
            for i in range(n):
                b[index[i]] = x[i] - end * y[i]
            return True
    return False


@njit(nogil=True, cache=True)
def _next_event(alpha, end, sign, barred, index, n, x, y, gx, gy):
    """Return the next penalty at which something happens, and the feature that enters or leaves, or -1."""
    at, entering, leaving = end, -1, -1
    now = alpha * (1 - 1e-12)
    for i in range(n):
        if sign[index[i]] * y[i] < 0 and at < x[i] / y[i] < now:
            at, leaving = x[i] / y[i], index[i]
    for j in range(len(sign)):
        if sign[j] == 0 and barred[j] == 0:
            for side in (1.0, -1.0):
                closing = 1 - side * gy[j]
                if closing > 1e-10 and at < side * gx[j] / closing < now:
                    at, entering, leaving = side * gx[j] / closing, j, -1
    return at, entering, leaving


@njit(nogil=True, cache=True)
def _stationary(G, K, invertible, c, start, alpha, sign, b, g, work):
    """Write what minimises the loss at fixed signs to b, and its gradient to g; False where singular."""
    A, index, x = work[:3]
    p, n = len(c), 0
    for j in range(p):  # features with a sign first, the others behind
        if sign[j] != 0:
            index[n] = j
            n += 1
    m = n
    for j in range(p):
        if sign[j] == 0:
            index[m] = j
            m += 1
    if invertible and n > p // 2:
        return _without_sign(K, start, alpha, sign, b, g, work, n)
    _gather(G, index, n, A)
    if not _factor(A, n):
        return False
    b[:], g[:] = 0.0, c
    for i in range(n):
        x[i] = c[index[i]] - alpha * sign[index[i]]
    _solve(A, n, x)
    for i in range(n):
        b[index[i]] = x[i]
    _subtract_rows(G, index, n, x, g)
    return True


@njit(nogil=True, cache=True)
def _without_sign(K, start, alpha, sign, b, g, work, n):
    """Solve for the gradient of the features without a sign, which stand behind the first n of the index."""
    A, index, x, turned, signed = work
    rest, m = index[n:], len(sign) - n
    _gather(K, rest, m, A)
    if not _factor(A, m):
        return False
    changed = 0  # turned = K s follows the signs
    for j in range(len(sign)):
        if sign[j] != signed[j]:
            index[len(sign) + changed], x[changed] = j, signed[j] - sign[j]
            signed[j] = sign[j]
            changed += 1
    _subtract_rows(K, index[len(sign) :], changed, x, turned)
    b[:], g[:] = start - alpha * turned, alpha * sign
    for i in range(m):
        x[i] = b[rest[i]]
    _solve(A, m, x)
    _subtract_rows(K, rest, m, x, b)
    for i in range(m):
        b[rest[i]], g[rest[i]] = 0.0, x[i]
    return True


@njit(nogil=True, cache=True)
def _gather(M, index, m, A):
    """Copy the upper triangle of some rows and columns, and the diagonal once more to column m."""
    for i in range(m):
        row = M[index[i]]
        for j in range(i, m):
            A[i, j] = row[index[j]]
        A[i, m] = A[i, i]


@njit(nogil=True, cache=True, fastmath=_math)
def _factor(A, m):
    """Factorise A = U'U in place, four pivots and two rows at a time; False where features are dependent."""
    for k in range(0, m, 4):
        last = min(k + 4, m)
        for q in range(k, last):
            for r in range(k, q):
                f = A[r, q]
                for j in range(q, m):
                    A[q, j] -= f * A[r, j]
            if not A[q, q] > INDEPENDENT * A[q, m]:
                return False
            pivot = np.sqrt(A[q, q])
            for j in range(q, m):
                A[q, j] /= pivot
        for i in range(last, m, 2):
            i2 = min(i + 1, m - 1)
            a0, a1, a2, a3 = A[k, i], A[k + 1, i], A[k + 2, i], A[k + 3, i]
            b0, b1, b2, b3 = A[k, i2], A[k + 1, i2], A[k + 2, i2], A[k + 3, i2]
            if i2 == i:  # the last row of an odd number stands alone
                b0 = b1 = b2 = b3 = 0.0
            for j in range(i, m):
                x0, x1, x2, x3 = A[k, j], A[k + 1, j], A[k + 2, j], A[k + 3, j]
                A[i, j] -= a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
                A[i2, j] -= b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
    return True


@njit(nogil=True, cache=True, fastmath=_math)
def _solve(U, m, x):
    """Solve U'U x = x in place."""
    for i in range(m):
        x[i] /= U[i, i]
        f = x[i]
        for j in range(i + 1, m):
            x[j] -= f * U[i, j]
    for i in range(m - 1, -1, -1):
        total = x[i]
        for j in range(i + 1, m):
            total -= U[i, j] * x[j]
        x[i] = total / U[i, i]


@njit(nogil=True, cache=True, fastmath=_math)
def _subtract_rows(M, index, m, weight, out):
    """Subtract the weighted sum of some rows, four at a time."""
    p, whole = len(out), m - m % 4
    for i in range(0, whole, 4):
        r0, r1, r2, r3 = M[index[i]], M[index[i + 1]], M[index[i + 2]], M[index[i + 3]]
        w0, w1, w2, w3 = weight[i], weight[i + 1], weight[i + 2], weight[i + 3]
        for j in range(p):
            out[j] -= w0 * r0[j] + w1 * r1[j] + w2 * r2[j] + w3 * r3[j]
    for i in range(whole, m):
        row, w = M[index[i]], weight[i]
        for j in range(p):
            out[j] -= w * row[j]


@njit(nogil=True, cache=True)
def _gap(c, null, alpha, b, gradient):
    """Return the duality gap over the null loss.

    The dual point is the residual times the factor that maximises the dual objective among those that make
    it feasible (Massias et al. 2018).
    """
    by, bb, size, top = 0.0, 0.0, 0.0, 1e-300
    for j in range(len(b)):
        by += b[j] * c[j]
        bb += b[j] * (c[j] - gradient[j])
        size += abs(b[j])
        top = max(top, abs(gradient[j]))
    rr, ry = max(null - 2 * by + bb, 1e-300), null - by
    theta = min(ry / rr, alpha / top)
    return 2 * (rr / 2 + alpha * size - theta * ry + theta * theta * rr / 2) / null


# All paths side by side, for a GPU --------------------------------------------------------------


def _follow_batch(problems: Problems, coef: torch.Tensor, gap: torch.Tensor, done: torch.Tensor) -> None:
    """Follow all paths at once and fill in the results; `_follow`, `_extend` and `_newton` in batches."""
    c, alphas = problems.c, problems.alphas
    start = _times(problems.inverse, c)
    b = before = torch.zeros_like(c)
    steep, rise = c / alphas[:, :1], torch.zeros_like(c)
    for level, alpha in enumerate(alphas.mT):
        fall = alphas[:, -1:] / alphas[:, -2:-1] if alphas.shape[1] > 1 else 0.0
        slope = steep + rise
        stays = (b + fall * (b - before)) * b > 0
        sign = torch.where(b == 0, slope.sign() * (slope.abs() > 1), b.sign() * stays)
        x, gradient, settled = _newton_batch(problems, start, alpha, sign)
        coef[:, level], done[:, level] = x, settled
        gap[:, level] = _gap_batch(c, problems.null, alpha, x, gradient)
        ahead = torch.where(settled[:, None], gradient / alpha[:, None], steep)
        before, b = torch.where(settled[:, None], b, before), torch.where(settled[:, None], x, b)
        rise, steep = ahead / 3 if level == 0 else ahead - steep, ahead
    left = (~done.all(1)).nonzero()[:, 0]
    if len(left):
        coef[left], gap[left] = (a.to(c.device) for a in _follow_left(problems, left))


def _follow_left(problems: Problems, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return coefficients and gaps of what the batch could not solve, followed on the CPU."""
    parts = (_of(a, rows) for a in (problems.gram, problems.inverse, problems.invertible))
    alone = Problems(*(a.cpu() for a in (*parts, problems.c[rows], problems.null[rows], problems.alphas[rows])))
    found = solve_paths(alone)
    return found.coef, found.gap


def _newton_batch(
    problems: Problems, start: torch.Tensor, alpha: torch.Tensor, sign: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Correct the signs (l, p) until none changes; return coefficients, gradients and which settled."""
    b, g = torch.zeros_like(sign), problems.c.clone()
    settled = torch.zeros_like(alpha, dtype=torch.bool)
    rows = torch.arange(len(alpha), device=alpha.device)
    for _ in range(STEPS):
        b[rows], g[rows], solved = _stationary_batch(problems, start, alpha[rows, None], sign, rows)
        enter = (sign == 0) & (g[rows].abs() > alpha[rows, None] * (1 + 1e-9))
        new = torch.where(enter, g[rows].sign(), sign * (b[rows] * sign > 0))
        same = (new == sign).all(1)
        settled[rows[solved & same]] = True
        left = solved & ~same
        rows, sign = rows[left], new[left]
        if not len(rows):
            break
    return b, g, settled


def _stationary_batch(
    problems: Problems, start: torch.Tensor, alpha: torch.Tensor, sign: torch.Tensor, rows: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what minimises the loss at fixed signs (f, p), its gradient, and which systems were regular."""
    invertible = problems.invertible.expand(len(start))[rows]
    few = ~(invertible & ((sign != 0).sum(1) > sign.shape[1] // 2))
    b, g, solved = torch.empty_like(sign), torch.empty_like(sign), torch.empty_like(few)
    with_sign, without = few.nonzero()[:, 0], (~few).nonzero()[:, 0]
    if len(with_sign):
        gram, s = _of(problems.gram, rows[with_sign]), sign[with_sign]
        c = problems.c[rows[with_sign]]
        b[with_sign], solved[with_sign] = _solve_batch(gram, s != 0, c - alpha[with_sign] * s)
        g[with_sign] = c - _times(gram, b[with_sign])
    if len(without):
        inverse, s = _of(problems.inverse, rows[without]), sign[without]
        pull = alpha[without] * s
        x = start[rows[without]] - _times(inverse, pull)
        mu, solved[without] = _solve_batch(inverse, s == 0, x)
        b[without] = (x - _times(inverse, mu)) * (s != 0)
        g[without] = pull + mu
    return b, g, solved


def _of(matrices: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return the matrices of some problems, or the one that all share."""
    return matrices if len(matrices) == 1 else matrices[rows]


def _times(matrices: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the products with b (f, p) of one shared matrix (1, p, p), or of a matrix each (f, p, p)."""
    return b @ matrices[0] if len(matrices) == 1 else (b[:, None] @ matrices)[:, 0]


def _solve_batch(
    matrices: torch.Tensor, members: torch.Tensor, target: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Solve the systems of some features each (f, p), filled up with zeros, and tell which were regular.

    Systems of a like size are solved side by side.
    """
    x, solved = torch.empty_like(target), torch.empty(len(target), dtype=torch.bool, device=target.device)
    for part in torch.argsort(members.sum(1)).split(SIDE_BY_SIDE):
        x[part], solved[part] = _solve_alike(_of(matrices, part), members[part], target[part])
    return x, solved


def _solve_alike(
    matrices: torch.Tensor, members: torch.Tensor, target: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Solve systems side by side: each is filled up to the size of the largest with the identity."""
    size = members.sum(1)
    valid = torch.arange(int(size.max()), device=size.device) < size[:, None]
    index = torch.zeros(valid.shape, dtype=torch.int64, device=size.device)
    index[valid] = members.nonzero()[:, 1]
    which = torch.arange(len(index), device=size.device) % len(matrices)
    block = matrices[which[:, None, None], index[:, :, None], index[:, None, :]]
    block = torch.where(valid[:, :, None] & valid[:, None, :], block, 0.0)
    diagonal = torch.diagonal(block, dim1=1, dim2=2)
    diagonal += (~valid).double()
    factor, failed = torch.linalg.cholesky_ex(block)
    pivots = torch.diagonal(factor, dim1=1, dim2=2).square()
    solved = (failed == 0) & (pivots > INDEPENDENT * diagonal).all(1)
    x = torch.cholesky_solve((target.gather(1, index) * valid)[..., None], factor)[..., 0] * valid
    return torch.zeros_like(target).scatter_add_(1, index, x), solved


def _gap_batch(
    c: torch.Tensor, null: torch.Tensor, alpha: torch.Tensor, b: torch.Tensor, gradient: torch.Tensor
) -> torch.Tensor:
    """Return the duality gaps (l,) over the null losses; see `_gap`."""
    by, bb = torch.linalg.vecdot(b, c), torch.linalg.vecdot(b, c - gradient)
    rr, ry = (null - 2 * by + bb).clamp(min=1e-300), null - by
    theta = torch.minimum(ry / rr, alpha / gradient.abs().amax(-1).clamp(min=1e-300))
    return 2 * (rr / 2 + alpha * b.abs().sum(-1) - theta * ry + theta**2 * rr / 2) / null
