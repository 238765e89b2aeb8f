"""The shelf of models that comes with progression."""

from progression_models.als_antibody import als_antibody
from progression_models.als_bounded import als_bounded
from progression_models.als_items import als_items
from progression_models.als_shared import als_shared
from progression_models.als_slope import als_slope
from progression_models.lupus_responses import bicla_style, fewer_joints, sri_style
from progression_models.screens import SCREENS
from progression_models.sle_activity import sle_activity
from progression_models.sle_crp import sle_crp
from progression_models.sle_joints import sle_joints

__all__ = [
    "SCREENS",
    "als_antibody",
    "als_bounded",
    "als_items",
    "als_shared",
    "als_slope",
    "bicla_style",
    "fewer_joints",
    "sle_activity",
    "sle_crp",
    "sle_joints",
    "sri_style",
]
