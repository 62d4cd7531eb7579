"""Newton's method on the signs of a Lasso path: the solver behind `leaplib.models.lasso`.

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

Each path is followed alone, by compiled code whose data stay in the core's cache.

**Safety net.** The method need not converge where there are fewer samples than features, or where features repeat. From
the first penalty that it leaves on, homotopy (Osborne, Presnell, Turlach 2000; LARS) goes from event to event, an event
being a feature that enters or leaves: between two of them coefficients and gradients are straight lines. Their slopes
are read off the Gram matrix swept by the features with a sign (Goodnight 1979), so that an event is one sweep. Where
Newton's method can, it then takes the rounding away. A feature that depends linearly on those with a sign stays out.

References
----------
Hintermueller, Ito, Kunisch (2002), The primal-dual active set strategy as a semismooth Newton method,
SIAM J. Optim. 13(3).
Osborne, Presnell, Turlach (2000), A new approach to variable selection in least squares problems,
IMA J. Numer. Anal. 20(3).
Goodnight (1979), A tutorial on the SWEEP operator, Am. Stat. 33(3).
Massias, Gramfort, Salmon (2018), Celer: a fast solver for the Lasso with dual extrapolation, ICML.
"""

import numpy as np
from numba import njit

STEPS = 15
"""Bound on Newton's steps at one penalty."""

INDEPENDENT = 1e-10
"""Features count as dependent when less than this share of one's variance is its own."""

EVENTS = 5000
"""Bound on the events between two penalties; tens are usual."""

_math = {"reassoc", "contract", "nsz"}  # sums in any order; NaN and infinity keep their meaning


def solve_paths(
    gram: np.ndarray, inverse: np.ndarray, invertible: bool, c: np.ndarray, null: np.ndarray, alphas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Follow the paths of l perturbations that were measured in the same samples, exactly up to rounding.

    Parameters
    ----------
    gram : array, p x p
    inverse : array, p x p
        Of this; anything where there is none.
    invertible : bool
    c : array, l x p
    null : array, l
        Null loss, ||yc||^2 / n.
    alphas : array, l x A
        Falling along the second axis.

    Returns
    -------
    coef : array, l x A x p
    gap : array, l x A
        Duality gap over the null loss ``null / 2``.
    """
    coef, gap = np.zeros((*alphas.shape, c.shape[1])), np.zeros(alphas.shape)
    for row in range(len(c)):
        _follow(gram, inverse, invertible, c[row], null[row], alphas[row], coef[row], gap[row])
    return coef, gap


@njit(nogil=True, cache=True)
def _follow(G, K, invertible, c, null, alphas, coef, gap):
    """Follow a path and fill in its coefficients and gaps."""
    p = len(c)
    work = np.empty((p, p + 1)), np.empty(2 * p, np.int64), np.empty(p), np.zeros(p), np.zeros(p)
    b, before, gradient, sign, start = np.zeros(p), np.zeros(p), np.zeros(p), np.zeros(p), np.zeros(p)
    steep, rise, at_last, index, last = np.empty(p), np.zeros(p), np.empty(p), work[1], alphas[0]
    for j in range(p):
        index[j], gradient[j], at_last[j], steep[j] = j, -c[j], c[j], c[j] / alphas[0]
        last = max(last, abs(c[j]))  # there the solution is 0, and c its gradient
    if invertible:
        _subtract_rows(K, index, p, gradient, start)  # K c
    fall = alphas[-1] / alphas[-2] if len(alphas) > 1 else 0.0
    by_steps, swept, signed = True, np.empty((0, 0)), np.zeros(p, np.bool_)
    for level in range(len(alphas)):
        x, alpha = coef[level], alphas[level]
        if by_steps:
            _extend(b, before, fall, steep, rise, sign)
            by_steps = _newton(G, K, invertible, c, start, alpha, sign, x, gradient, work)
        if by_steps:
            last = alpha
            _copy(gradient, at_last)
        else:
            if not len(swept):
                swept = G.copy()
            _copy(b, x)
            last = _homotopy(G, swept, signed, last, alpha, x, at_last)
            for j in range(p):
                sign[j] = np.sign(x[j])
            if _newton(G, K, invertible, c, start, alpha, sign, before, gradient, work):
                _copy(before, x)
                _copy(gradient, at_last)
        gap[level] = _gap(c, null, alpha, x, at_last)
        _copy(b, before)
        _copy(x, b)
        for j in range(p):
            ahead = at_last[j] / alpha
            rise[j] = ahead / 3 if level == 0 else ahead - steep[j]
            steep[j] = ahead


@njit(nogil=True, cache=True)
def _copy(values, out):
    """Copy in a loop: a slice on the left takes numba seconds to compile, as array expressions do."""
    for j in range(len(out)):
        out[j] = values[j]


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
def _homotopy(G, T, signed, alpha, end, b, g):
    """Take the solution b at ``alpha`` and its gradient g to ``end``, event by event; return the penalty come to.

    ``T`` is the Gram matrix swept by the features in ``signed``, which are made those of b.
    """
    p, left = len(b), len(b)  # that left last: none
    sign, barred = np.empty(p), np.zeros(p, np.bool_)
    index, weight, fall = np.empty(p, np.int64), np.empty(p), np.empty(p)
    for j in range(p):
        sign[j] = np.sign(b[j])
        if (sign[j] != 0) != signed[j]:
            _sweep(T, j, signed)
    for _ in range(EVENTS):
        n = 0
        for j in range(p):
            fall[j] = 0.0  # of b with a sign, and of g without, as the penalty falls by 1
            if signed[j]:
                index[n], weight[n] = j, -sign[j]
                n += 1
        _subtract_rows(T, index, n, weight, fall)
        step, event = _next_event(alpha, end, sign, barred, left, b, g, fall)
        for j in range(p):
            if signed[j]:
                b[j] -= step * fall[j]
                g[j] = (alpha - step) * sign[j]
            else:
                g[j] -= step * fall[j]
        alpha, left = alpha - step, p
        if event < 0:
            break
        if signed[event]:
            b[event], sign[event], left = 0.0, 0.0, event
            for j in range(p):
                barred[j] = False
        elif T[event, event] > INDEPENDENT * G[event, event]:
            sign[event] = np.sign(g[event])
        else:  # depends on the others: it adds nothing
            barred[event] = True
            continue
        _sweep(T, event, signed)
    return alpha


@njit(nogil=True, cache=True)
def _next_event(alpha, end, sign, barred, left, b, g, fall):
    """Return how far the penalty falls until a feature enters or leaves, and which, or -1 where none does."""
    step, event = alpha - end, -1
    for j in range(len(b)):
        if sign[j] != 0:
            if sign[j] * fall[j] > 0 and b[j] / fall[j] < step:
                step, event = max(b[j] / fall[j], 0.0), j
        elif not barred[j]:
            for side in (1.0, -1.0):
                closing = 1 - side * fall[j]
                if j == left and side * g[j] > 0:
                    continue  # it has just left there
                if closing > 1e-10 and (alpha - side * g[j]) / closing < step:
                    step, event = max((alpha - side * g[j]) / closing, 0.0), j
    return step, event


@njit(nogil=True, cache=True)
def _sweep(T, k, signed):
    """Bring a feature in, or take it out again: T is - 1 / G, G / G and what is left of G on features in and out."""
    row, pivot = np.empty(len(T)), T[k, k]
    _copy(T[k], row)
    for i in range(len(T)):
        factor = row[i] / pivot
        for j in range(len(T)):
            T[i, j] -= factor * row[j]
    for j in range(len(T)):
        T[k, j] = T[j, k] = -row[j] / pivot if signed[k] else row[j] / pivot
    T[k, k] = -1 / pivot
    signed[k] = not signed[k]


@njit(nogil=True, cache=True)
def _stationary(G, K, invertible, c, start, alpha, sign, b, g, work):
    """Write what minimises the loss at fixed signs to b, and its gradient to g; False where singular."""
    A, index, x = work[:3]
    p, n = len(c), np.count_nonzero(sign)
    before, behind = 0, n
    for j in range(p):  # features with a sign first, the others behind
        if sign[j] != 0:
            index[before] = j
            before += 1
        else:
            index[behind] = j
            behind += 1
    if invertible and n > p // 2:
        return _without_sign(K, start, alpha, sign, b, g, work, n)
    _gather(G, index, n, A)
    if not _factor(A, n):
        return False
    for j in range(p):
        b[j], g[j] = 0.0, c[j]
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
    for j in range(len(sign)):
        b[j], g[j] = start[j] - alpha * turned[j], alpha * sign[j]
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
