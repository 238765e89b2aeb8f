"""Time to flare: rows between visits, a hazard that follows activity, and what a fit, a simulation and a response make of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import progression as pg
from progression.encoding import encode
from progression.engines.program import build
from progression.event_times import first_times
from progression.faults import CohortError, SettingError
from progression.modeling import Facts
from progression_models import fewer_joints
from tests import simulators
from tests.recovery.yardsticks import pinned
from tests.test_responders import TRUTH, Vector

SHARED = {"flare": "shared"}
HAZARD = {"flare_hazard": 0.15, "flare_loading": 1.2}
NAMES = ["tender_joints", "swollen_joints", "crp_mg_dl"]
MODEL = pg.models()["sle_activity"]


def made(people, events=None, months=(0.0, 1.0, 3.0, 6.0)):
    """Patients seen at these months, or until their own last one."""
    rows = [{"subject": one["subject"], "time": t, **dict.fromkeys(NAMES, 4.0)} for one in people
            for t in months if t <= one.get("last", np.inf) and t not in one.get("missed", ())]  # fmt: skip
    table = pd.DataFrame([{key: one[key] for key in one if key not in ("last", "missed")} for one in people])
    listed = None if events is None else pd.DataFrame(events, columns=["subject", "time", "kind"])
    return pg.Cohort.from_table(pd.DataFrame(rows), table.assign(arm="treated"), events=listed, time_unit="months", outcomes=NAMES,
                                arms=["treated"], allocation="single arm", provenance="simulated")  # fmt: skip


def rows(cohort):
    encoded = encode(MODEL, cohort, options=SHARED)
    columns = {key: encoded.arrays[f"flare_{key}"][1] for key in ("subject", "visit", "value", "censored", "upper")}
    return (
        pd.DataFrame(columns)
        .assign(subject=np.array(encoded.coords["subject"])[columns["subject"]])
        .set_index(["subject", "visit"])
    )


def simulated(rng, n, **more):
    """A cohort of an independent simulator, who flares leaves; and its table."""
    table = simulators.sle_activity(rng, n_per_arm=n, months=[0, 1, 3], **TRUTH, **more)
    flares = table.groupby("subject")["flare"].first().dropna() if "flare" in table else pd.Series(dtype=float)
    events = pd.DataFrame({"subject": flares.index, "time": flares.to_numpy(), "kind": "flare"})
    cohort = pg.Cohort.from_table(table.drop(columns="flare", errors="ignore"), events=events if len(events) else None, time_unit="months",
                                  outcomes=NAMES, arms=list(n), allocation="randomised", provenance="simulated")  # fmt: skip
    return cohort, table


def test_rows_of_the_four_patients(lupus):
    """Patient 4 flared in week 6, halfway between weeks 4 and 12; the pneumonia of patient 2 ends nothing."""
    found = rows(lupus)
    assert len(found) == 8 and (found["censored"] == ([True] * 7 + [False])).all()
    assert found.loc[("4", 2), "value"] == pytest.approx(6 * 7 * 12 / 365.25 - 0.92, abs=1e-3)
    assert found.loc[("2", 2), "value"] == found.loc[("2", 2), "upper"] == pytest.approx(1.84)


def test_rows_by_hand():
    people = [
        {"subject": "stays"},
        {"subject": "leaves", "last": 1.0},
        {"subject": "misses", "missed": (3.0,)},
        {"subject": "known", "last": 1.0, "end_of_follow_up": 2.5},
        {"subject": "dies", "last": 1.0, "event": "death", "event_time": 2.0},
        {"subject": "flares", "last": 1.0, "event": "flare of arthritis", "event_time": 1.5},
        {"subject": "at a visit"}, {"subject": "after all", "end_of_follow_up": 9.0}, {"subject": "twice"},
    ]  # fmt: skip
    events = [
        ("at a visit", 3.0, "Flare"),
        ("after all", 8.0, "flare"),
        ("twice", 4.0, "flare"),
        ("twice", 0.5, "flare"),
        ("stays", 2.0, "pneumonia"),
    ]
    found = rows(made(people, events))
    value = found["value"].groupby("subject").apply(list)
    assert value["stays"] == value["misses"] == value["after all"] == [1, 2, 3]
    assert value["leaves"] == [1] and value["known"] == [1, 1.5] and value["dies"] == [1, 1]
    assert value["flares"] == [1, 0.5] and value["at a visit"] == [1, 2] and value["twice"] == [0.5]
    struck = found[~found["censored"]]
    assert list(struck.index) == [("flares", 2), ("at a visit", 2), ("twice", 1)] or set(struck.index) == {
        ("flares", 2),
        ("at a visit", 2),
        ("twice", 1),
    }
    assert (struck["value"] < struck["upper"]).all(), "an event on the day of a visit is one"
    censored = found[found["censored"]]
    assert (censored["value"] == censored["upper"]).all()


def test_refusals(lupus):
    with pytest.raises(SettingError, match=r"'flare'.*is unknown; did you mean 'shared'.*Use one of at random, shared"):
        encode(MODEL, lupus, options={"flare": "shred"})
    with pytest.raises(CohortError, match="says nothing of events"):
        encode(MODEL, made([{"subject": "a"}, {"subject": "b"}]), options=SHARED)
    with pytest.raises(CohortError, match=r"subject 'b', value 0\.0: flare at month 0 is at or before baseline"):
        encode(MODEL, made([{"subject": "a"}, {"subject": "b"}], [("b", 0.0, "flare")]), options=SHARED)


@pytest.mark.slow
def test_at_random_is_the_model_without_it(lupus):
    plain, shared = (encode(MODEL, lupus, options=options) for options in (None, SHARED))
    assert plain.events == () and shared.events == ("flare",)
    assert not any(name.startswith("flare") for name in plain.arrays) and plain.coords["event"] == []
    built = [build(MODEL, one, MODEL.priors).model for one in (plain, shared)]
    assert {rv.name for rv in built[1].observed_RVs} - {rv.name for rv in built[0].observed_RVs} == {"flare"}
    assert built[0]["flare_hazard"].eval().size == 0
    assert np.isfinite(built[1].compile_fn(built[1].logp(), mode="FAST_COMPILE")(built[1].initial_point()))


@pytest.mark.slow
def test_padding_changes_nothing_with_flares(lupus, monkeypatch):
    found = []
    for n in (4, 9):
        monkeypatch.setattr("progression.encoding.size_bucket", lambda _, n=n: n)
        built = build(MODEL, encode(MODEL, lupus, options=SHARED), MODEL.priors).model
        point = {name: np.zeros_like(value) for name, value in built.initial_point().items()}
        own = sum(
            value.size for name, value in point.items() if name.endswith("_raw")
        )  # each a standard normal of a subject
        whole = built.compile_fn(built.logp(), mode="FAST_COMPILE")(point)
        found.append(float(whole) + own * np.log(2 * np.pi) / 2)
    assert found[0] == pytest.approx(found[1], abs=1e-10)


def test_first_times_against_a_loop():
    rng, planned, n = np.random.default_rng(2), [-0.1, 1.0, 3.0, 6.0], 5
    own = {"subject": np.repeat(np.arange(n), 3), "visit": np.tile([1, 2, 3], n), "upper": np.tile([1.0, 2.0, 3.0], n)}
    drawn = np.minimum(rng.exponential(2.0, size=(40, 3 * n)), own["upper"])
    found = first_times(drawn, own, planned, n)
    for sample in range(40):
        for subject in range(n):
            when = [start + time for start, time, most in zip((0, 1, 3), drawn[sample, 3 * subject : 3 * subject + 3], (1, 2, 3), strict=True)
                    if time < most]  # fmt: skip
            assert found[sample, subject] == (when[0] if when else np.inf)
    assert np.isinf(found).any() and np.isfinite(found).any()


def _one_draw(effect):
    labels = {"followup_visit": [1.0, 3.0], "active_arm": ["treated"], "event": ["flare"]}
    values = {"time_course": ("followup_visit", TRUTH["time_course"]), "effect": (("active_arm", "followup_visit"), [effect]),
              "sd_visit": ((), 0.8), "flare_hazard": ("event", [0.15]), "flare_loading": ("event", [1.2])}  # fmt: skip
    return xr.Dataset(values, coords=labels).expand_dims(chain=1, draw=1)


def test_estimands_against_brute_force():
    """Shares without flare of a million simulated patients; a conditional hazard ratio by hand."""
    cohort, _ = simulated(np.random.default_rng(1), {"control": 3, "treated": 3})
    effect, found, facts = [-0.5, -0.9], {}, Facts(cohort, xr.Dataset(), {})
    for name in ("flare_hazard_ratio", "flare_free", "flare_free_difference"):
        found[name] = MODEL.estimand(name).compute(_one_draw(effect), facts).squeeze(drop=True)
    np.testing.assert_allclose(found["flare_hazard_ratio"], np.exp(1.2 * np.array([-0.25, -0.7])))
    rng, n = np.random.default_rng(3), 1_000_000
    own = rng.normal(size=(n, 1)) + 0.8 * rng.normal(size=(n, 3))
    shares = []
    for moved in ([0.0, 0.0], effect):
        activity = own + np.concatenate([[0.0], np.add(TRUTH["time_course"], moved)])
        hazard = 0.15 * np.exp(1.2 * (activity[:, :-1] + activity[:, 1:]) / 2)
        shares.append(np.exp(-(hazard * [1.0, 2.0]).sum(axis=1)).mean())
    np.testing.assert_allclose(found["flare_free"], shares, atol=0.003)
    assert float(found["flare_free_difference"]) == pytest.approx(shares[1] - shares[0], abs=0.003)
    same = MODEL.estimand("flare_free_difference").compute(_one_draw([0.0, 0.0]), facts)
    np.testing.assert_allclose(same, 0, atol=1e-12)


@pytest.mark.slow
def test_predictions_and_responses_of_new_patients_are_those_of_simulated_ones(fake_fit):
    """Parameters known: share that has flared by the end, and composite response, against counting patients of an independent simulator."""
    n, effect = 20_000, [-0.5, -0.8]
    _, table = simulated(np.random.default_rng(4), {"control": n, "treated": n}, effect={"treated": effect}, **HAZARD)
    few = {"control": 6, "treated": 6}
    cohort, _ = simulated(np.random.default_rng(7), few, effect={"treated": effect}, **HAZARD)
    known = {name: Vector(value) for name, value in TRUTH.items() if name != "sd_visit"}
    known |= {"flare_hazard": Vector([HAZARD["flare_hazard"]]), "flare_loading": Vector([HAZARD["flare_loading"]])}
    priors = {**known, "sd_visit": pinned(TRUTH["sd_visit"]), "effect": Vector([effect])}
    fit = fake_fit("sle_activity", cohort, priors=priors, options=SHARED, draws=200)
    times = fit.predict([0.0, 3.0], new_patients={"control": 100, "treated": 100}, draws=400)["flare"].to_numpy()
    first = table.drop_duplicates("subject").set_index("subject")
    wide = {month: table[table["time"] == month].set_index("subject").reindex(first.index) for month in (0, 3)}
    meets = fewer_joints()(wide[0], wide[3]).to_numpy()  # who flared has no visit, hence no response
    found = pg.responders(
        fit,
        pg.Response("fewer", fewer_joints()),
        month=3,
        draws=400,
        new_patients=200,
        strategies={"flare": "composite"},
    )
    plain = pg.responders(
        fit,
        pg.Response("fewer", fewer_joints()),
        month=3,
        draws=400,
        new_patients=200,
        strategies={"flare": "treatment policy"},
    )
    for k, arm in enumerate(("control", "treated")):
        who = (first["arm"] == arm).to_numpy()
        for month in (1.0, 3.0):
            share = (first["flare"][who] <= month).mean()
            error = np.sqrt(share * (1 - share) * (1 / n + 1 / 40_000))
            assert abs((times[:, 100 * k : 100 * (k + 1)] <= month).mean() - share) < 4 * error
        share = meets[who].mean()
        error = np.sqrt(share * (1 - share) * (1 / n + 1 / (400 * 200)))
        assert abs(found.arms.loc[(arm, "a new patient"), "mean"] - share) < 4 * error
        # Who flares would have done worse: less is lost than if flares came by lot.
        spared = 1 - (first["flare"][who] <= 3).mean()
        assert (
            found.arms.loc[(arm, "a new patient"), "mean"]
            > 1.02 * spared * plain.arms.loc[(arm, "a new patient"), "mean"]
        )
    assert any("when the model predicts it" in note for note in found.notes)
    assert not any("when the model predicts it" in note for note in plain.notes)


TRIAL = pg.Design(
    arms={"control": 40, "treated": 40}, visits_weeks=(0, 4, 13), dropout_per_month=0.02, missed_visits=0.05
)
KNOWN = {**TRUTH, "effect": [-0.5, -0.8]}


@pytest.mark.slow
def test_simulated_trials_lose_those_who_flare():
    trials = pg.simulate(TRIAL, "sle_activity", truth=KNOWN | HAZARD, options=SHARED, n=200, random_seed=3)
    flared = trials.events["flare"] > 0
    visits = trials.cohort.visits
    who = trials.cohort.subjects.index.get_indexer(visits["subject"])
    after = flared[:, who] & (visits["month"].to_numpy() > trials.events["flare"][:, who])
    assert after.any() and all(np.isnan(value[after]).all() for value in trials.values.values())
    assert not (trials.events["death"] > 0).any()
    arm = (trials.cohort.subjects["arm"] == "treated").to_numpy()
    for k in (
        0,
        1,
    ):  # drop-out of 2 % a month hides some of the flares: fewer than the estimand says, by less than it takes away
        expected = 1 - trials.true_value("flare_free").isel(data_set=0, arm=k).item()
        share = flared[:, arm == bool(k)].mean()
        assert expected * (1 - 0.02 * 3) - 0.012 < share < expected + 0.012
    one = trials.of(0)
    encoded = encode(MODEL, one, options=SHARED)
    assert (~encoded.arrays["flare_censored"][1]).sum() == flared[0].sum()
    early = trials.at(1.5).of(0)
    assert (early.subjects["event_month"].dropna() <= 1.5).all()


@pytest.mark.slow
def test_a_trial_without_flares_is_the_same_as_before():
    plain = pg.simulate(TRIAL, "sle_activity", truth=KNOWN, n=3, random_seed=3)
    assert plain.events == {} and list(plain.values) == NAMES
    dying = pg.simulate(
        pg.Design(arms={"control": 40, "treated": 40}, visits_weeks=(0, 4, 13), death_per_month=0.2),
        "sle_activity",
        truth=KNOWN,
        n=3,
    )
    assert (dying.events["death"] > 0).any()
    with pytest.raises(SettingError, match="flare_hazard"):
        pg.simulate(TRIAL, "sle_activity", truth=KNOWN, options=SHARED, n=2)


@pytest.mark.slow
def test_missing_because_of_a_flare_is_not_missing_at_random(real_fit):
    """One large simulated trial: taken at random, week 12 of the controls looks better than it was; with the hazard it does not."""
    truth = TRUTH | {"sd_visit": 0.9, "time_course": [0.3, 0.6]}
    table = simulators.sle_activity(np.random.default_rng(12), n_per_arm={"treated": 250}, months=[0, 1, 3], flare_hazard=0.2, flare_loading=1.5,
                                    **truth)  # fmt: skip
    flares = table.groupby("subject")["flare"].first().dropna()
    assert 0.3 < len(flares) / 250 < 0.7
    cohort = pg.Cohort.from_table(table.drop(columns="flare"), events=pd.DataFrame({"subject": flares.index, "time": flares.to_numpy(), "kind": "flare"}),
                                  time_unit="months", outcomes=NAMES, arms=["treated"], allocation="single arm", provenance="simulated")  # fmt: skip
    z = {}
    for how in ("at random", "shared"):
        late = real_fit("sle_activity", cohort, options={"flare": how}, draws=500, tune=500).posterior["time_course"][
            ..., -1
        ]
        z[how] = float((late.mean() - 0.6) / late.std())
    assert z["at random"] < -3 and abs(z["shared"]) < 2.5
