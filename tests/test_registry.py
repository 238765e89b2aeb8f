"""Models by name: the shelves that are installed, and what a user adds."""

import warnings

import pymc as pm
import pytest

import progression as pg
from progression import registry
from progression.faults import SettingError

pytestmark = pytest.mark.usefixtures("own_registry")

SHELF = '''
import pymc as pm
import progression as pg
Y = pg.Outcome("y")
N = pg.Prior("Normal", mu=0, sigma=1)
@pg.model(observes={"y": Y}, priors={"m": N}, estimands=[], reference="none", name="third_party")
def third_party(data, prior):
    """From another package."""
    pm.Normal("y", prior("m"), 1, observed=data.y.value)
@pg.model(observes={"y": Y}, priors={"m": N}, estimands=[], reference="none", name="als_slope")
def als_slope(data, prior):
    """Takes a name that is taken."""
    pm.Normal("y", prior("m"), 1, observed=data.y.value)
@pg.model(observes={"y": Y}, priors={"m": N}, estimands=[], reference="none", name="hidden")
def hidden(data, prior):
    """Not on the shelf."""
    pm.Normal("y", prior("m"), 1, observed=data.y.value)
'''


def mine(name="mine", title="First words"):
    @pg.model(observes={"y": pg.Outcome("y")}, priors={"m": pg.Prior("Normal", mu=0, sigma=1)}, estimands=[],
              reference="none", name=name, title=title)  # fmt: skip
    def program(data, prior):
        pm.Normal("y", prior("m"), 1, observed=data.y.value)

    return program


def install(folder, package, source):
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(source)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[progression.models]\n{package} = {package}\n")


def test_models_print_as_a_table():
    found = pg.models()
    assert {"als_slope", "sle_crp", "sle_joints"} <= set(found)
    assert list(found) == sorted(found) and len(found) == len(list(found))
    for name, one in found.items():
        assert one.name == name
        for text in (name, one.title, one.estimands[0].name, one.outcomes[0].name):
            assert text in repr(found)
            assert text in found._repr_html_()
    assert repr(found).splitlines()[0].split()[0] == "model"
    assert found._repr_html_().count("<tr>") == len(found) + 1


def test_html_is_escaped():
    registry.register(mine(title="a < b & c"))
    assert "a &lt; b &amp; c" in pg.models()._repr_html_()


def test_an_unknown_name_suggests_the_nearest(als):
    with pytest.raises(SettingError, match="did you mean 'als_slope'"):
        pg.models()["als_slop"]
    with pytest.raises(SettingError, match="did you mean 'sle_joints'"):
        pg.fit("sle_joint", als)
    assert "als_slop" not in pg.models()


def test_registering_again_replaces():
    first, second = mine(), mine(title="Second words")
    assert pg.register(first) is first and pg.models()["mine"] is first
    assert pg.register(second) is second and pg.models()["mine"] is second
    assert registry.resolve("mine") is second and registry.resolve(first) is first
    assert "Second words" in repr(pg.models())


def test_the_name_of_a_shelf_model_is_refused():
    with pytest.raises(SettingError, match="belongs to a model of an installed shelf"):
        pg.register(mine(name="als_slope"))
    with pytest.raises(SettingError, match="not a Model"):
        pg.register(lambda data, prior: None)
    assert "als_slope" not in registry._registered


def test_a_mapping_returned_earlier_does_not_change():
    before = pg.models()
    pg.register(mine())
    assert "mine" not in before and "mine" in pg.models()


def test_another_installed_package_is_a_shelf(tmp_path, monkeypatch):
    install(tmp_path, "goodshelf", SHELF + '\n__all__ = ["third_party", "als_slope"]\n')
    monkeypatch.syspath_prepend(tmp_path)
    registry._shelves.cache_clear()
    with pytest.warns(UserWarning, match="two shelves have a model 'als_slope'") as caught:
        found = pg.models()
    skipped = "goodshelf" if "'goodshelf' is skipped" in str(caught[0].message) else "progression_models"
    assert not found["als_slope"].program.__module__.startswith(skipped)
    assert found["third_party"].title == "From another package."
    assert "hidden" not in found and "sle_joints" in found
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "third_party" in pg.models()  # read once, warned once


@pytest.mark.parametrize("source", ["raise RuntimeError('broken on purpose')", "import no_such_package", "this is no Python",
                                    "__all__ = ['missing']"])  # fmt: skip
def test_a_broken_shelf_is_warned_about_and_skipped(tmp_path, monkeypatch, source):
    name = f"badshelf{abs(hash(source)) % 10**6}"
    install(tmp_path, name, source)
    monkeypatch.syspath_prepend(tmp_path)
    registry._shelves.cache_clear()
    with pytest.warns(UserWarning, match=f"'{name}' cannot be loaded and is skipped"):
        found = pg.models()
    assert {"als_slope", "sle_crp", "sle_joints"} <= set(found)
