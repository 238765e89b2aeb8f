"""One contract for every model on the shelf."""

import inspect
import re
from functools import cache

import numpy as np
import pytensor
import pytest
import xarray as xr
from pytensor.graph.traversal import ancestors
from scipy import stats

import progression as pg
from progression import encoding
from progression.contrasts import contrast
from progression.encoding import encode
from progression.engines import forward
from progression.engines.program import build
from progression.faults import SettingError
from progression.modeling import Facts, Prior, prior_names

# Which parameter moves with which when the labels of two arms change places.
MIRROR = {"als_slope": ("slope_effect", "mean_slope"), "als_bounded": ("slope_effect", "mean_slope"),
          "als_items": ("slope_effect", "mean_slope"), "sle_crp": ("effect", "time_course"),
          "sle_joints": ("effect", "time_course"), "sle_activity": ("effect", "time_course")}  # fmt: skip


@pytest.fixture(params=sorted(pg.models()))
def model(request):
    return pg.models()[request.param]


@pytest.fixture(params=[1, 2], ids=["one arm", "two arms"])
def n_arms(request):
    return request.param


@cache
def _implied(model, cohort):
    return pg.prior_check(model, cohort, draws=60, random_seed=2)


@pytest.fixture
def implied(model, n_arms, tiny_cohort):
    return _implied(model, tiny_cohort(model, n_arms))


def test_builds(model, n_arms, tiny_cohort):
    encoded = encode(model, tiny_cohort(model, n_arms))
    built = build(model, encoded, model.priors)
    assert {rv.name for rv in built.model.observed_RVs} == set(encoded.observed) >= set(model.observes)
    assert len(encoded.coords["active_arm"]) == n_arms - 1
    assert not built.model.discrete_value_vars
    assert np.isfinite(built.model.compile_fn(built.model.logp(), mode="FAST_COMPILE")(built.model.initial_point()))


def test_draws_from_the_prior_are_possible(model, implied):
    draws = implied.fit.posterior
    assert set(model.priors) <= set(draws.data_vars)
    for name, variable in draws.data_vars.items():
        assert np.isfinite(variable).all(), name
    encoded = implied.fit.encoded()
    for block, members in encoded.blocks.items():
        values = implied.predictive[block].to_numpy()
        assert values.shape == (60, len(encoded.arrays[f"{block}_value"][1])) and np.isfinite(values).all()
        if build(model, encoded, model.priors).model[block].type.dtype.startswith("int"):
            assert (values == np.round(values)).all()
            assert (values >= 0).all() and (values <= encoded.arrays[f"{block}_upper"][1]).all()
        if all(outcome.positive for outcome in members):
            assert (values > 0).all()
        assert values.std() > 0
    few = draws.isel(draw=slice(10))
    for block, rows in forward.log_likelihood(model, encoded, model.priors, few).items():
        assert np.isfinite(rows).all() and rows.sizes[f"{block}_row"] == encoded.arrays[f"{block}_value"][1].size


def test_estimands_say_what_they_are(model, implied, n_arms):
    assert model.estimands
    found = contrast(implied.fit)
    assert found.estimands, "no estimand for such a cohort"
    for index, words in found.labels().items():
        assert "{" not in words and len(words) > 15
        for label in ("treated", "control"):
            if "active_arm" in found.draws[index.partition("[")[0]].dims:
                assert label in words
    for estimand in model.estimands:
        assert estimand.name.isidentifier() and estimand.reference
        assert estimand.population in ("conditional", "population-averaged", "new patient")
        sign = re.search(r"positive|negative|below|above", estimand.label)
        if estimand.scale == "direct":
            assert estimand.null is None and estimand.unit and estimand.unit in estimand.label
            continue
        assert sign and estimand.benefit in ("higher", "lower") and estimand.assumption
        assert estimand.reference in ("control arm", "baseline")
        assert (estimand.requires == "control") == (estimand.reference == "control arm")
        if estimand.scale == "ratio":
            assert estimand.null == 1 and estimand.unit == "" and "ratio" in estimand.label
        else:
            assert estimand.null == 0 and estimand.unit and estimand.unit in estimand.label
    for name, draws in found.draws.items():
        assert set(draws.dims) == {"chain", "draw", *model.estimand(name).over}
        assert np.isfinite(draws).all()


@pytest.mark.parametrize("one", sorted(pg.models()))
def test_components_are_named_in_the_declared_order(one, tiny_cohort):
    found = contrast(_implied(pg.models()[one], tiny_cohort(pg.models()[one], 2)).fit)
    for name, draws in found.draws.items():
        assert draws.dims == ("chain", "draw", *found.estimands[name].over)


def test_questions_of_controls_need_controls(model, n_arms, implied):
    for estimand in model.estimands:
        answered = estimand.name in contrast(implied.fit).estimands
        assert answered == (estimand.requires == "any" or (estimand.requires == "control") == (n_arms == 2))
        if not answered:
            with pytest.raises(SettingError, match=estimand.name):
                contrast(implied.fit, estimand.name)


def test_no_effect_is_the_null(model, implied):
    """With every parameter that stands for an effect at zero, and every ratio at one, each contrast equals its null value."""
    zero = [name for name in model.priors if "effect" in name or name == "time_course"]
    one = [name for name in model.priors if name.endswith("_ratio")]
    draws = implied.fit.posterior.assign({name: 0 * implied.fit.posterior[name] for name in zero})
    draws = draws.assign({name: 0 * draws[name] + 1 for name in one})
    facts = Facts(implied.fit.cohort, implied.fit.idata["constant_data"].to_dataset(), implied.fit.options)
    for name, estimand in contrast(implied.fit).estimands.items():
        if estimand.null is not None:
            value = estimand.compute(draws, facts, **estimand.at)
            np.testing.assert_allclose(value, estimand.null, atol=1e-12, err_msg=name)


def test_reads_like_a_page(model):
    source = inspect.getsource(model.program)
    body = source[source.index(f"def {model.program.__name__}(") :].splitlines()
    assert len(body) < 60
    assert model.title and inspect.getdoc(model.program).startswith(model.title)
    assert len(model.reference) > 20 and re.search(r"\b(19|20)\d\d\b", model.reference)
    assert model.name in repr(model) and model.reference in repr(model)


def test_data_enter_only_as_data(model, n_arms, tiny_cohort):
    built = build(model, encode(model, tiny_cohort(model, n_arms)), model.priors).model
    variables = [*built.free_RVs, *built.observed_RVs, *built.deterministics, *built.potentials]
    constants = [node for node in ancestors(variables) if isinstance(node, pytensor.graph.Constant)]
    big = [node for node in constants if np.size(getattr(node, "data", 0)) > 4]
    assert constants and not big
    data = {variable.name for variable in built.data_vars}
    assert {f"{block}_value" for block in model.observes} <= data
    assert all(built.named_vars_to_dims.get(name) for name in data)


@pytest.mark.slow
def test_effects_of_one_subject_carry_the_dim(model, tiny_cohort, monkeypatch):
    """What grows with the number of subjects has the dim `subject`, and nothing else grows."""
    if not model.padded:
        pytest.skip("not padded")
    shapes = []
    for n in (6, 11):
        monkeypatch.setattr(encoding, "size_bucket", lambda _, n=n: n)
        built = build(model, encode(model, tiny_cohort(model, 2)), model.priors).model
        shapes.append({rv.name: tuple(built[rv.name].shape.eval()) for rv in built.unobserved_RVs})
    grows = {name for name in shapes[0] if shapes[0][name] != shapes[1][name]}
    assert grows == {name for name, dims in built.named_vars_to_dims.items() if "subject" in dims} & set(shapes[0])
    assert grows


@pytest.mark.slow
def test_padding_changes_nothing(model, n_arms, tiny_cohort, monkeypatch):
    if not model.padded:
        pytest.skip("not padded")
    logp, built = [], []
    for n in (6, 11):
        monkeypatch.setattr(encoding, "size_bucket", lambda _, n=n: n)
        built.append(build(model, encode(model, tiny_cohort(model, n_arms)), model.priors).model)
        logp.append(built[-1].compile_fn(built[-1].logp(), mode="FAST_COMPILE"))
    rng = np.random.default_rng(4)
    padded_names = {built[0].rvs_to_values[rv].name for rv in built[0].free_RVs
                    if "subject" in built[0].named_vars_to_dims.get(rv.name, ())}  # fmt: skip
    for _ in range(3):
        small = {name: 0.5 * rng.normal(size=np.shape(v)) for name, v in built[0].initial_point().items()}
        more = {name: rng.normal(size=(5, *small[name].shape[1:])) for name in padded_names}
        large = {name: np.concatenate([v, more[name]]) if name in more else v for name, v in small.items()}
        own = sum(stats.norm.logpdf(z).sum() for z in more.values())
        assert logp[1](large) - logp[0](small) == pytest.approx(own, abs=1e-8)


def test_priors_and_options(model):
    assert prior_names(model.program) == set(model.priors)
    assert all(isinstance(prior, Prior) for prior in model.priors.values())
    for preset, names in model.presets.items():
        assert names and set(names) <= set(model.priors)
        assert {**model.priors, **names} == model.with_priors(preset)
    assert model.with_options(None) == model.options and model.with_options({}) == model.options
    with pytest.raises(SettingError, match="no prior of that name"):
        model.with_priors({"nonsense": Prior("Normal", mu=0, sigma=1)})


def test_inverse_goes_back(model, tiny_cohort):
    fit = _implied(model, tiny_cohort(model, 2)).fit
    one_arm = _implied(model, tiny_cohort(model, 1)).fit
    for estimand in [e for e in model.estimands if e.inverse is not None]:
        own = one_arm if estimand.requires == "no control" else fit
        facts = Facts(own.cohort, own.idata["constant_data"].to_dataset(), own.options)
        parameters = {name: float(own.posterior[name].isel(draw=3).mean()) for name in model.priors
                      if own.posterior[name].size}  # fmt: skip
        for value in (0.7, 1.0, 1.2):
            asked = {**parameters, **estimand.inverse(value, parameters)}
            assert set(asked) == set(parameters)
            draws = own.posterior.assign({n: xr.full_like(own.posterior[n], v) for n, v in asked.items()})
            np.testing.assert_allclose(estimand.compute(draws, facts, **estimand.at), value, rtol=1e-10)


def test_arms_change_places(model, tiny_cohort):
    """The draws seen from the other arm: a difference changes sign, a ratio is inverted."""
    if model.name not in MIRROR:
        pytest.skip("not stated which parameters mirror")
    fit = _implied(model, tiny_cohort(model, 2)).fit
    facts = Facts(fit.cohort, fit.idata["constant_data"].to_dataset(), fit.options)
    effect, course = MIRROR[model.name]
    moved = fit.posterior[course] + fit.posterior[effect].isel(active_arm=0, drop=True)
    mirrored = fit.posterior.assign({effect: -fit.posterior[effect], course: moved})
    contrasts = [e for e in model.estimands if e.requires == "control"]
    assert contrasts
    for estimand in contrasts:
        there = estimand.compute(fit.posterior, facts, **estimand.at)
        back = estimand.compute(mirrored, facts, **estimand.at).transpose(*there.dims)
        expected = -there if estimand.scale == "difference" else 1 / there
        np.testing.assert_allclose(back, expected, rtol=1e-8, atol=1e-12)


def test_weeks_or_months_are_the_same_data(model, n_arms, tiny_cohort):
    months, weeks = (encode(model, tiny_cohort(model, n_arms, unit)) for unit in ("months", "weeks"))
    assert list(months.arrays) == list(weeks.arrays)
    for name, (dims, array) in months.arrays.items():
        assert dims == weeks.arrays[name][0]
        np.testing.assert_allclose(array, weeks.arrays[name][1], rtol=1e-9, atol=1e-9, err_msg=name)
