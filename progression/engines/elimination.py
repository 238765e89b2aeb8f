"""The algebra of the closed form: Gaussian elimination of effects and of linear parameters, for many points at once.

Source: Lindley and Smith (1972), JRSS B 34:1 (the normal hierarchical model integrated in closed form); Laird and Ware
(1982), Biometrics 38:963.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from progression.engines.cells import Cells

LOG_2PI = float(np.log(2 * np.pi))
_AT_ONCE = 4096  # draws handled together: arrays that stay in a processor's cache


@dataclass(frozen=True, eq=False)
class Lines:
    """Every straight line of a program in w = (effects, linear, 1), at many points: dims end in (set, point).

    Attributes
    ----------
    constant : array, shape (s, p)
        Log prior of the remaining parameters, less the log SDs of the linear ones.
    sd : array, shape (block, s, p)
        Of the noise of each observed variable.
    terms : array, shape (feature, m, kind, s, p)
        What each feature of a row is multiplied with.
    block_of : array, shape (feature,)
    effects : array, shape (e, m, kind, s, p)
        (effect - its mean) / its SD.
    log_sd : array, shape (kind, s, p)
        Sum of the log SDs of the effects.
    linear : array, shape (k, m, s, p)
        (parameter - its mean) / its SD.
    """

    constant: np.ndarray
    sd: np.ndarray
    terms: np.ndarray
    block_of: np.ndarray
    effects: np.ndarray
    log_sd: np.ndarray
    linear: np.ndarray

    def take(self, sets: slice, points: slice) -> Lines:
        """Some of the sets and points."""
        cut = (..., sets, points)
        return Lines(self.constant[cut], self.sd[cut], self.terms[cut], self.block_of, self.effects[cut], self.log_sd[cut],
                     self.linear[cut])  # fmt: skip


def eliminate(cells: Cells, lines: Lines) -> tuple[np.ndarray, np.ndarray]:
    """Take the effects out of each cell's quadratic form, and add the cells up.

    With H the form in the effects u of a cell (its gram M, its count n, its sums N) and K its inverse, what is left in
    r = (linear, 1) depends on the cell through n K, n K M, n K M M, K N, K M N and K N N only: sums over cells, taken by
    one product of matrices.

    Returns
    -------
    constant : array, shape (sets, points)
    matrix : array, shape (k + 1, k + 1, sets, points)
        Log density = constant - r' matrix r / 2.
    """
    e, k = len(lines.effects), len(lines.linear)
    kinds, sets, points = lines.log_sd.shape
    width, b = cells.count.shape[2], sets * points
    q = len(lines.terms)

    def flat(array: np.ndarray) -> np.ndarray:
        """Sets and points as one axis, contiguous: the inner loop of all that follows."""
        return np.ascontiguousarray(array.reshape(*array.shape[:-2], b))

    sd = flat(lines.sd)[lines.block_of]
    g, own = flat(lines.terms) / sd[:, None, None], flat(lines.effects)
    gu, gr, du, dr = g[:, :e], g[:, e:], own[:, :e], own[:, e:]
    base = np.einsum("jatp,jbtp->abtp", du, du)
    products = np.einsum("iatp,jbtp->abtijp", gu, gu).reshape(e, e, kinds, q * q, b)
    h = base[:, :, :, None] + cells.gram.reshape(kinds, width, q * q) @ products  # (e, e, kinds, cells, b)
    inverse, log_det = inverse_of(h)
    count = cells.count.transpose(1, 2, 0)  # (kinds, cells, sets)
    per_set = log_det.reshape(kinds, width, sets, points)
    constant = lines.constant - 0.5 * k * LOG_2PI
    constant -= 0.5 * np.einsum("tcsp,tcs->sp", per_set, count) + np.einsum("tsp,tcs->sp", lines.log_sd, count)
    for squares, rows, scale in zip(cells.squares, cells.rows, lines.sd, strict=True):
        constant -= 0.5 * squares[:, None] / scale**2 + rows[:, None] * (np.log(scale) + 0.5 * LOG_2PI)
    moments = cells.moments.transpose(1, 0, 3, 2)  # (kinds, sets, products, cells)
    by_set = inverse.reshape(e, e, kinds, width, sets, points).transpose(0, 1, 2, 4, 3, 5)
    summed = np.moveaxis(moments @ by_set, 3, 4).reshape(e, e, kinds, -1, b)
    parts = np.split(summed, np.cumsum([1, q * q, q**4, q, q**3]), axis=3)
    shapes = [(), (q, q), (q, q, q, q), (q,), (q, q, q), (q, q)]
    k0, k1, k2, kn, kmn, knn = (one.reshape(e, e, kinds, *shape, b) for one, shape in zip(parts, shapes, strict=True))
    c = gu / sd[:, None, None]

    def wide(array: np.ndarray) -> np.ndarray:
        return np.repeat(array, points, axis=-1)

    gram = wide(np.einsum("tcs,tcij->ijts", count, cells.gram))
    first = wide(cells.first.sum(axis=2).transpose(2, 1, 0)) / sd[:, None]
    crossed = np.einsum("jatp,jrtp->artp", du, dr)  # of effects and r, in the prior of the effects
    x = np.einsum("kbtp,abtklp->altp", gu, k1)
    y = np.einsum("jatp,atijlp->iltp", gu, np.einsum("kbtp,abtijklp->atijlp", gu, k2))
    z = np.einsum("ibtp,abtip->atp", c, kn)
    w = np.einsum("jatp,atijp->itp", gu, np.einsum("kbtp,abtijkp->atijp", c, kmn))
    mixed = np.einsum("abtp,brtp->artp", k0, crossed) + np.einsum("altp,lrtp->artp", x, gr)
    left = np.einsum("iltp,lrtp->irtp", gram - y, gr) - np.einsum("altp,artp->lrtp", x, crossed)
    matrix = np.einsum("irtp,istp->rsp", gr, left) - np.einsum("artp,astp->rsp", crossed, mixed)
    matrix += np.einsum("jrtp,jstp->rsp", dr * wide(count.sum(axis=1)), dr)
    line = np.einsum("irtp,itp->rp", gr, w - first) + np.einsum("artp,atp->rp", crossed, z)
    matrix[:, -1] += line
    matrix[-1] += line
    matrix[-1, -1] -= np.einsum("iatp,atip->p", c, np.einsum("jbtp,abtijp->atip", c, knn))
    own_prior = flat(lines.linear)[:, e:]
    matrix += np.einsum("jrp,jsp->rsp", own_prior, own_prior)
    return constant, matrix.reshape(k + 1, k + 1, sets, points)


def finish(constant: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integrate the linear parameters out too.

    Returns
    -------
    log_density : array, shape (sets, points)
    factor : array, shape (sets, points, k (k + 3) / 2)
        What `draw_linear` needs: of each linear parameter in turn its SD given all later ones, and its regression on
        them and on 1, with the sign turned.
    """
    kept = []
    for j in range(len(matrix) - 1):
        pivot, row = matrix[j, j], matrix[j, j + 1 :] / matrix[j, j]
        constant = constant + 0.5 * (LOG_2PI - np.log(pivot))
        kept += [1 / np.sqrt(pivot), *row]
        matrix[j + 1 :, j + 1 :] -= matrix[j + 1 :, j][:, None] * row[None]
    factor = np.stack(kept, axis=-1) if kept else np.empty((*constant.shape, 0))
    return constant - 0.5 * matrix[-1, -1], factor


def by_parameter(factor: np.ndarray, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """SD (draws,) and regression (k - j, draws) of each linear parameter, from a factor of `finish`, one a draw."""
    columns, found, at = factor.T, [], 0
    for j in range(k):
        found.append((columns[at], columns[at + 1 : at + 1 + k - j]))
        at += 1 + k - j
    return found


def inverse_of(h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse and log determinant of symmetric matrices, (e, e, ...): by formula up to 2 x 2, the commonest."""
    if len(h) == 1:
        return 1 / h, np.log(h[0, 0])
    if len(h) == 2:
        det = h[0, 0] * h[1, 1] - h[0, 1] ** 2
        made = np.empty_like(h)
        made[0, 0], made[1, 1] = h[1, 1] / det, h[0, 0] / det
        made[0, 1] = made[1, 0] = -h[0, 1] / det
        return made, np.log(det)
    last = np.moveaxis(h, (0, 1), (-2, -1))
    return np.moveaxis(np.linalg.inv(last), (-2, -1), (0, 1)).copy(), np.linalg.slogdet(last)[1]


def draw_linear(factor: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Draws of the linear parameters from their conditional normal.

    Parameters
    ----------
    factor : array, shape (draws, k (k + 3) / 2)
        Of `finish`, one entry a draw.
    normal : array, shape (draws, k)
        Standard normal.

    Returns
    -------
    array, shape (draws, k)
    """
    n, k = normal.shape
    made = np.empty((n, k))
    for start in range(0, n, _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        parts, z, w = by_parameter(np.ascontiguousarray(factor[some].T).T, k), normal[some].T, made[some].T
        for j in reversed(range(k)):
            sd, regression = parts[j]
            w[j] = z[j] * sd - regression[-1]
            for later, slope in zip(w[j + 1 :], regression, strict=False):
                w[j] -= slope * later
    return made
