"""The report is one file that needs nothing else, says where its data come from, and trusts no name in them."""

import html
import re
import warnings
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import progression as pg
from progression.reporting import page as page_module

EVIL = "<script>alert(1)</script>"


def cohort(provenance, **more):
    rng = np.random.default_rng(1)
    rows = [
        {
            "subject": f"<i>{i}",
            "week": week,
            "arm": ["control", EVIL][i % 2],
            "alsfrsr": round(40 - 0.2 * week + rng.normal(0, 2)),
        }
        for i in range(8)
        for week in (0, 8, 16, 24)
    ]
    events = pd.DataFrame([{"subject": "<i>1", "time": 5, "kind": "stopped & <b>left", "note": '"quoted"'}])
    return pg.Cohort.from_table(
        pd.DataFrame(rows), time_unit="weeks", columns={"time": "week"}, outcomes=["alsfrsr"], arms=["control", EVIL],
        provenance=provenance, events=events, name="<img src=x onerror=alert(2)>", source="https://x.org/<b>", **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def fit():
    with pytest.warns(pg.FitWarning):
        return pg.fit(
            "als_slope", cohort("reconstructed", allocation="historical"), random_seed=1, draws=30, tune=60, chains=2,
            progressbar=False, priors={"sd_slope": pg.Prior("HalfNormal", sigma=0.7)},
        )  # fmt: skip


@pytest.fixture(scope="module")
def page(fit, tmp_path_factory):
    path = pg.report([fit], tmp_path_factory.mktemp("report") / "report.html", title="A & <b>B</b>")
    return path.read_text()


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.slow
def test_names_from_the_table_are_escaped(page):
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert not [tag for tag, _ in tags.found if tag in ("script", "i", "b")]
    assert not [1 for tag, attrs in tags.found if any(name.startswith("on") for name in attrs)]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "stopped &amp; &lt;b&gt;left" in page


@pytest.mark.slow
def test_the_page_needs_nothing_else(page):
    tags = Tags()
    tags.feed(page)
    addresses = [attrs[name] for _, attrs in tags.found for name in ("src", "href") if name in attrs]
    assert addresses and all(one.startswith(("data:image/svg+xml;base64,", "#")) for one in addresses)
    assert not [tag for tag, _ in tags.found if tag in ("link", "iframe", "object", "script")]
    assert "url(" not in page and "@import" not in page
    ids = [attrs["id"] for _, attrs in tags.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {one[1:] for one in addresses if one.startswith("#")} <= set(ids)


def test_problems_come_first_and_provenance_is_everywhere(page, fit):
    assert fit.problems
    glance = page[page.index('id="glance"') :]
    assert glance.index(html.escape(fit.problems[0])) < glance.index('class="card"')
    assert "no direction may be read" in glance[: glance.index("<nav")]
    assert page.count("RECONSTRUCTED") >= 8  # each figure's caption, and the provenance
    assert "probability of slower decline" not in page[: page.index("<nav")]
    assert "not read off reconstructed data" in page and "favours" not in page


def test_what_was_asked_is_all_there(page):
    asked = (
        "ICH E9(R1)",
        "controls are historical",
        "no drift",
        "strategy: hypothetical",
        "strategy: not stated",
        "slope difference",
    )
    found = ("95 % interval", "R-hat", "Monte Carlo error", "HalfNormal(sigma=0.7)", "replaces HalfNormal(sigma=1)")
    made = ("Laird and Ware", "pymc", "random_seed = 1")
    for words in (*asked, *found, *made):
        assert words in page, words


@pytest.mark.slow
def test_a_simulated_cohort_reports_the_probability_of_benefit_in_a_sentence(fit, tmp_path):
    simulated = replace(fit, cohort=cohort("simulated"))
    page = pg.report(simulated, tmp_path / "r.html").read_text()
    said = r"minus control: \S+ points/month \(95 % interval \S+ to \S+\); probability of slower decline \S+\.<"
    assert re.search(said, page)


@pytest.mark.slow
def test_the_same_fits_give_the_same_file(fit, page, tmp_path):
    again = pg.report([fit], tmp_path / "again.html", title="A & <b>B</b>")
    assert again.read_text() == page


@pytest.mark.slow
def test_nothing_is_left_when_it_fails(fit, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("<!doctype html>the earlier report")

    def broken(*_, **__):
        raise RuntimeError("no picture")

    monkeypatch.setattr(page_module.plots, "diagnostics", broken)
    with pytest.raises(RuntimeError, match="no picture"):
        pg.report([fit], path)
    assert path.read_text() == "<!doctype html>the earlier report"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_what_cannot_be_reported_is_refused_at_once(fit, tmp_path):
    with pytest.raises(pg.SettingError, match="at least one"):
        pg.report([], tmp_path / "r.html")
    with pytest.raises(pg.SettingError, match="Contrast"):
        pg.report([pg.contrast(fit)], tmp_path / "r.html")
    with pytest.raises(pg.SettingError, match="folder"):
        pg.report([fit], tmp_path / "missing" / "r.html")


@pytest.fixture(scope="module")
def borrowed():
    rng = np.random.default_rng(3)
    rows = [
        {"subject": f"S{i}", "month": month, "arm": ["historical control", EVIL][i % 2],
         "alsfrsr": 40 - month + rng.normal(0, 1) + 3 * (i % 2), "sex": "mf"[i % 3 == 0]}
        for i in range(24) for month in (0, 3, 6, 9)
    ]  # fmt: skip
    one = pg.Cohort.from_table(
        pd.DataFrame(rows), time_unit="months", columns={"time": "month"}, outcomes=["alsfrsr"], covariates=["sex"],
        arms=["historical control", EVIL], allocation="historical", provenance="simulated",
    )  # fmt: skip
    how = {"random_seed": 1, "draws": 100}
    ways = {"drift": pg.Commensurate(0.23), "power": pg.PowerPrior(pg.Prior("Beta", alpha=1, beta=1))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pg.FitWarning)
        fits = {name: pg.fit("als_slope", one, borrowing=way, **how) for name, way in ways.items()}
        return fits, pg.drift_sweep("als_slope", one, scales=(0.11, 0.37), **how)


@pytest.mark.slow
def test_the_page_says_how_far_historical_controls_are_trusted(borrowed, tmp_path):
    fits, sweep = borrowed
    page = pg.report(fits["drift"], tmp_path / "r.html", sweep=sweep).read_text()
    glance, section = (
        page[: page.index("<nav")],
        page[page.index('id="fit-1-controls"') : page.index('id="fit-1-results"')],
    )
    assert "Normal(0, 0.23)" in glance and "Normal(0, 0.23)" in section
    assert "no drift" not in page and "pooled" not in page
    # The drift is no result: it stands beside its prior, and nobody benefits by it.
    assert "historical control minus concurrent control" not in glance
    assert "slope, historical control minus concurrent control" in section
    row = re.search(r"slope, historical control minus.*?</tr>", page[page.index('id="fit-1-results"') :]).group()
    assert "–" in row and "(0.0" not in row
    assert "followed for 9.0 months or more" in section and "sex: m" in section
    assert EVIL not in section and html.escape(EVIL) in section
    low, high = sweep.table["lower"], sweep.table["upper"]
    assert f"{(high - low).iloc[1] / (high - low).iloc[0]:.2f}</td>" in section and "0.37</th>" in section
    assert "<td>nan" not in page


@pytest.mark.slow
def test_without_a_drift_the_page_says_that_none_is_allowed_for(borrowed, fit, tmp_path):
    fits, _ = borrowed
    page = pg.report(fits["power"], tmp_path / "r.html").read_text()
    section = page[page.index('id="fit-1-controls"') : page.index('id="fit-1-results"')]
    share = fits["power"].posterior["a0"]
    assert f"posterior mean {float(share.mean()):.2f}" in section and "Beta(alpha=1, beta=1)" in section
    assert "No data bear on it" in section and "drift between sources before" not in section
    unstated = replace(fit, cohort=cohort("simulated", allocation="unstated"))
    assert "-controls" not in pg.report(unstated, tmp_path / "other.html").read_text()


@pytest.mark.slow
def test_a_sweep_of_other_patients_is_refused(borrowed, fit, tmp_path):
    with pytest.raises(pg.SettingError, match="other patients"):
        pg.report(fit, tmp_path / "r.html", sweep=borrowed[1])
    with pytest.raises(pg.SettingError, match="drift_sweep"):
        pg.report(fit, tmp_path / "r.html", sweep="swept")


def test_a_report_at_another_month(fit, tmp_path):
    path = pg.report(fit, tmp_path / "r.html")
    assert "minus control (EXTRAPOLATED: nobody was followed beyond month 5.52)" in path.read_text()
    text = pg.report(fit, path, month=5).read_text()  # a report is written over
    assert "to month 5" in text and "EXTRAPOLATED" not in text
    with pytest.raises(pg.SettingError, match="number above 0"):
        pg.report(fit, path, month=-1)
    with pytest.raises(pg.SettingError, match="months"):
        pg.report(fit, path, months=5)


def test_a_file_of_another_kind_is_left_alone(fit, tmp_path):
    table, saved = tmp_path / "visits.csv", tmp_path / "fit.nc"
    table.write_text("subject,week\n")
    fit.save(saved)
    fit.save(saved)  # over one of its kind, torn or not
    saved.write_bytes(saved.read_bytes()[:2000])
    fit.save(saved)
    other = tmp_path / "climate.nc"
    fit.idata["posterior"].to_dataset()[["mean_slope"]].to_netcdf(other, engine="h5netcdf")
    for write in (
        lambda: fit.save(table),
        lambda: fit.save(other),
        lambda: pg.report(fit, table),
        lambda: pg.report(fit, saved),
    ):
        with pytest.raises(pg.StoreError, match="nothing was written"):
            write()
    assert table.read_text() == "subject,week\n" and pg.load(saved).model.name == "als_slope"
