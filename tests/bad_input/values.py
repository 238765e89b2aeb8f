"""Scores, counts and CRP that cannot be."""

# A case a line reads as a table; wrapped it does not.

import numpy as np
import pandas as pd

from tests.bad_input.cases import ASSAY, CRP, FRS, JOINTS, SUM, bad, items, read, table

VALUES = [
    bad("over 48", lambda: read(table(frs=[40, 49, 44, 43]), outcomes=[FRS]), "above 48 points", "Correct", column="frs", subject="A", row=2,
        value=49),
    bad("over 48, reconstructed", lambda: read(table(frs=[40, 49, 44, 43]), outcomes=[FRS], provenance="reconstructed"), "above 48", "Correct"),
    bad("below 0", lambda: read(table(frs=[40, -1, 44, 43]), outcomes=[FRS]), "below 0 points", "Correct", row=2, value=-1),
    bad("fractional", lambda: read(table(frs=[40, 38.5, 44, 43]), outcomes=[FRS]), "whole numbers", "averaged=['frs']", row=2, value=38.5),
    bad("infinite", lambda: read(table(frs=[40, np.inf, 44, 43])), "infinite", "Correct", row=2),
    bad("infinite as text", lambda: read(table(frs=["40", "inf", "44", "43"])), "infinite", "Correct", row=2, value="inf"),
    bad("not the sum", lambda: read(items(frs=[9, 10, 8, 8]), outcomes=[SUM]), "sum of its items, which is 9", "Correct", column="frs",
        subject="A", row=2, value=10),
    bad("item over 4", lambda: read(items(Q1=[4, 5, 4, 4], frs=[9, 10, 8, 8]), outcomes=[SUM]), "above 4", "Correct", column="Q1", row=2, value=5),
    bad("item below 0", lambda: read(items(Q1=[4, -1, 4, 4], frs=[9, 4, 8, 8]), outcomes=[SUM]), "below 0", "Correct", column="Q1", row=2),
    bad("both exclusive items", lambda: read(items(Q5b=[None, 1, 1, 1]), outcomes=[SUM]), "and both are", "does not apply", column="Q5b", row=2),
    bad("neither exclusive item", lambda: read(items(Q5a=[2, None, None, None], frs=[9, 7, 8, 8]), outcomes=[SUM]), "and neither is",
        "applies", column="Q5b", row=2),
    bad("items missing", lambda: read(items(Q2=[3, None, 3, 3], frs=[9, 6, 8, 8]), outcomes=[SUM]), "not the items Q2", "shorter version",
        column="frs", row=2, value=6),
    bad("negative count", lambda: read(table(joints=[3, -1, 0, 0]), outcomes=[JOINTS]), "below 0", "Correct", column="joints", row=2),
    bad("count of 2.5", lambda: read(table(joints=[3, 2.5, 0, 0]), outcomes=[JOINTS]), "whole numbers", "averaged", row=2, value=2.5),
    bad("too many joints", lambda: read(table(joints=[3, 29, 0, 0]), outcomes=[JOINTS]), "above 28 joints", "Outcome(upper=", row=2, value=29),
    bad("boolean", lambda: read(table(joints=[True, False, True, True]), outcomes=["joints"]), "true or false", "number", count=4, row=1, value=True),
    bad("point where commas are declared", lambda: read(table(crp=["0,8", "1.250", "1", "2"]), decimal=","), "decimal point", "comma", row=2),
    bad("zero", lambda: read(table(crp=[0.8, 0, 1, 2]), outcomes=[CRP]), "above zero", "'<0.5'", column="crp", row=2, value=0),
    bad("below nothing", lambda: read(table(crp=["0.8", "<0", "1", "2"]), outcomes=[CRP]), "above zero", "missing", row=2, value="<0"),
    bad("flagged above the limit", lambda: read(table(crp=[0.8, 0.5, 1, 2], crp_censored=[True, True, False, False]), outcomes=[ASSAY]),
        "yet above it (0.5 mg/dl)", "flag", column="crp", subject="A", row=1, value=0.8),
    bad("measured below the limit", lambda: read(table(crp=[0.8, 0.4, 1, 2]), outcomes=[ASSAY]), "given as measured", "'<0.5'", row=2, value=0.4),
    bad("flagged without limit", lambda: read(table(crp=[0.8, None, 1, 2], crp_censored=[0, 1, 0, 0]), outcomes=["crp"]),
        "limit is not there", "Write the limit", column="crp", row=2),
    bad("flag unknown", lambda: read(table(crp=[0.8, 1, 1, 2], crp_censored=["n", "y", "n", "n"]), outcomes=["crp"]), "not a flag", "true",
        column="crp_censored", count=4),
    bad("above a limit", lambda: read(table(crp=[">9", "1", "1", "2"])), "limit", "'<0.5'", row=1, value=">9"),
    bad("unit in the cell", lambda: read(table(crp=["5 mg", "1", "1", "2"])), "not a number", "alone", row=1, value="5 mg"),
    bad("underscored", lambda: read(table(crp=["1_0", "1", "1", "2"])), "not a number", "alone", row=1, value="1_0"),
    bad("not a scalar", lambda: read(table(crp=[[1], 1, 1, 2]), outcomes=["crp"]), "not a number (list)", "Give", row=1),
    bad("number of too many digits", lambda: read(table(frs=[40, 10**5000, 44, 43])), "too large", "Correct", column="frs", row=2),
    bad("bytes for numbers", lambda: read(table(crp=[b"1_0", 1, 1, 2]), outcomes=["crp"]), "not a number (bytes)", "Give", column="crp", row=1, value=b"1_0"),
    bad("complex number", lambda: read(table(crp=[1 + 1j, 1, 1, 2]), outcomes=["crp"]), "not a number (complex)", "Give", count=4, column="crp", row=1),
    bad("words for an outcome", lambda: read(table(frs=pd.Categorical(["mild", "severe", "mild", "mild"])), outcomes=["frs"]), "mark or a word", "missing=", count=4,
        column="frs", row=1, value="mild"),
    bad("dates for an outcome", lambda: read(table(frs=pd.to_datetime(["2020-01-01"] * 4)), outcomes=["frs"]), "not a number (Timestamp)", "Give", count=4),
    bad("the code -99 for missing", lambda: read(table(frs=[40, -99, 44, 43]), outcomes=[FRS]), "below 0", "empty the cell", column="frs", row=2, value=-99),
]  # fmt: skip
